"""Free answers, graded by a language model behind an endpoint in OpenAI's form.

The instructions are those of Video-ChatGPT's evaluation as Flash-VStream has them
(eval_activitynet_qa.py in github.com/IVGSZ/Flash-VStream): does the answer match in meaning, yes
or no, and how well, 0 to 5. Its judge was gpt-3.5-turbo-0613; others grade otherwise, so that
grades of two judges are not mixed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import httpx

from evaluations.errors import EvalError
from evaluations.item import Item, Skip
from evaluations.results import Results

UNREADABLE: Final = "grade cannot be read"
_TRIES: Final = 3
_SECONDS: Final = 120.0

_SYSTEM: Final = """\
You are an intelligent chatbot designed for evaluating the correctness of generative outputs for \
question-answer pairs. Your task is to compare the predicted answer with the correct answer and \
determine if they match meaningfully. Here's how you can accomplish the task:------##INSTRUCTIONS: \
- Focus on the meaningful match between the predicted answer and the correct answer.
- Consider synonyms or paraphrases as valid matches.
- Evaluate the correctness of the prediction compared to the answer."""
_USER: Final = """\
Please evaluate the following video-based question-answer pair:

Question: {question}
Correct Answer: {answer}
Predicted Answer: {predicted}

Provide your evaluation only as a yes/no and score where the score is an integer value between 0 \
and 5, with 5 indicating the highest meaningful match. Please generate the response in the form of \
a Python dictionary string with keys 'pred' and 'score', where value of 'pred' is  a string of \
'yes' or 'no' and value of 'score' is in INTEGER, not STRING.DO NOT PROVIDE ANY OTHER OUTPUT TEXT \
OR EXPLANATION. Only provide the Python dictionary string. For example, your response should look \
like this: {{'pred': 'yes', 'score': 4.8}}."""


@dataclass(frozen=True)
class Grader:
    """url: up to and with /v1. key: sent as a bearer token, where there is one."""

    url: str
    model: str
    key: str | None = None

    def __call__(
        self, results: Results, items: Sequence[Item], tell: Callable[[str], None]
    ) -> list[Skip]:
        """Grade what has no grade yet. Raises EvalError where the endpoint does not answer or the
        file has grades of another judge."""
        for grade in results.grades.values():
            if grade["by"] != self.model:
                raise EvalError(
                    f"{results.path} has grades of {grade['by']} and this judge is {self.model}: "
                    "take another --out, or --judge-model " + str(grade["by"])
                )
        open_items = [
            item for item in items if item.id in results.records and item.id not in results.grades
        ]
        skips = []
        headers = {"Authorization": f"Bearer {self.key}"} if self.key else {}
        with httpx.Client(headers=headers, timeout=_SECONDS) as client:
            for number, item in enumerate(open_items, 1):
                tell(f"grading {number} of {len(open_items)}")
                record = results.records[item.id]
                found = self._grade(client, record, results)
                if found is None:
                    skips.append(Skip(item.id, UNREADABLE, f"{self.model} gave no yes or no"))
                    continue
                yes, mark = found
                results.grade({"graded": item.id, "by": self.model, "yes": yes, "mark": mark})
        return skips

    def _grade(
        self, client: httpx.Client, record: Mapping[str, Any], results: Results
    ) -> tuple[bool, int] | None:
        asked = _USER.format(
            question=record["fields"]["question"],
            answer=record["answer"],
            predicted=record["chosen"],
        )
        body = {
            "model": self.model,
            "messages": [
                {"role": "system", "content": _SYSTEM},
                {"role": "user", "content": asked},
            ],
            "temperature": 0,
            "max_tokens": 300,
        }
        for _ in range(_TRIES):
            try:
                reply = client.post(f"{self.url.rstrip('/')}/chat/completions", json=body)
                reply.raise_for_status()
                said = reply.json()["choices"][0]["message"]["content"]
            except (httpx.HTTPError, httpx.InvalidURL, ValueError, KeyError, IndexError) as error:
                raise EvalError(
                    f"the judge at {self.url} did not grade ({error}); the answers are kept in "
                    f"{results.path}: the same command goes on"
                ) from error
            if found := read_grade(str(said)):
                return found
        return None


def read_grade(said: str) -> tuple[bool, int] | None:
    """Yes or no and the mark, whole and 0 to 5, from {'pred': 'yes', 'score': 4}; else None."""
    pred = re.search(r"""['"]?pred['"]?\s*:\s*['"]?(yes|no)\b""", said, re.IGNORECASE)
    mark = re.search(r"""['"]?score['"]?\s*:\s*['"]?(\d+)""", said, re.IGNORECASE)
    if pred is None or mark is None or int(mark[1]) > 5:
        return None
    return pred[1].lower() == "yes", int(mark[1])
