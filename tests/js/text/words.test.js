import assert from "node:assert/strict"
import { test } from "node:test"

import * as words from "../../../static/js/text/words.js"

test("whatever has a label has an explanation", () => {
  assert.deepEqual(Object.keys(words.WARMTH_EXPLANATIONS), Object.keys(words.WARMTH_LABELS))
  assert.deepEqual(Object.keys(words.REPLY_WARMTH_EXPLANATIONS), Object.keys(words.REPLY_WARMTH))
})

test("the server's own names are for no reader", () => {
  for (const [name, table] of Object.entries(words)) {
    for (const [key, text] of Object.entries(table)) {
      assert.ok(text.length > 2, `${name}.${key}`)
      assert.doesNotMatch(text, /_/, `${name}.${key}`)
    }
  }
})
