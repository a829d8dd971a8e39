// Asks about a session that something else films, from Node 22 or newer:
//   node examples/ask.mjs http://127.0.0.1:8400 SESSION "What do you see?"
// LOOKBACK_API_KEY holds a key or the session's token, where the gateway wants one.

import { Lookback } from "../clients/js/index.js";

const [gateway, id, question] = process.argv.slice(2);
const lookback = new Lookback(gateway, { token: process.env.LOOKBACK_API_KEY });
const session = await lookback.join(id);
for await (const piece of session.ask(question)) process.stdout.write(piece);
process.stdout.write("\n");
session.leave();
