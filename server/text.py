"""Text in requests' bodies."""

from typing import Annotated

from pydantic import AfterValidator
from pydantic_core import PydanticCustomError


def whole(text: str) -> str:
    r"""The text. JSON can say halves of a surrogate pair ("\ud800"), which are no characters and
    can be written to nobody: they raise PydanticCustomError, and the request is a bad one."""
    try:
        text.encode()
    except UnicodeEncodeError as error:
        message = "Character {at} is half a surrogate pair"
        raise PydanticCustomError("half_a_pair", message, {"at": error.start}) from error
    return text


Text = Annotated[str, AfterValidator(whole)]
"""What a request's model holds in the place of str."""
