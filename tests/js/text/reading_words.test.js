import assert from "node:assert/strict"
import { test } from "node:test"

import { readingText } from "../../../static/js/text/reading_words.js"

test("the next message's reading is told with its tokens and its price", () => {
  assert.match(
    readingText({ tokens: 61234, usd: "0.2300" }),
    /reads everything anew.* 61,234 tokens, for about \$0\.23,/,
  )
  assert.match(readingText({ tokens: 20, usd: "0.0000" }), /20 tokens, for less than \$0\.0001,/)
  assert.match(readingText({ tokens: 20, usd: null }), /20 tokens, at a price that is not known/)
  assert.match(readingText({ message: "no" }), /cannot be told/)
})
