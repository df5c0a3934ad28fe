import assert from "node:assert/strict"
import { test } from "node:test"

import { isComposing, meansPrint, meansSend } from "../../../static/js/state/key_presses.js"

const press = (fields) => ({ key: "Enter", keyCode: 13, isComposing: false, ...fields })
const DESK = { isTouch: false }
const PHONE = { isTouch: true }

test("Enter sends, and with Shift it begins a line", () => {
  assert.equal(meansSend(press({}), DESK), true)
  assert.equal(meansSend(press({ shiftKey: true }), DESK), false)
  assert.equal(meansSend(press({ key: "a" }), DESK), false)
})

test("on a touch keyboard Enter begins a line", () => {
  assert.equal(meansSend(press({}), PHONE), false)
})

test("Ctrl or Command with Enter sends everywhere", () => {
  for (const device of [DESK, PHONE]) {
    assert.equal(meansSend(press({ ctrlKey: true }), device), true)
    assert.equal(meansSend(press({ metaKey: true }), device), true)
  }
})

test("the Enter that confirms a word does not send, in Safari neither", () => {
  assert.equal(meansSend(press({ isComposing: true }), DESK), false)
  assert.equal(meansSend(press({ keyCode: 229 }), DESK), false)
  assert.equal(meansSend(press({ keyCode: 229, ctrlKey: true }), DESK), false)
  assert.equal(isComposing(press({ key: "Escape", keyCode: 229 })), true)
  assert.equal(isComposing(press({ key: "Escape", keyCode: 27 })), false)
})

test("only the browser's own keys print", () => {
  assert.equal(meansPrint(press({ key: "p", ctrlKey: true })), true)
  assert.equal(meansPrint(press({ key: "p", metaKey: true })), true)
  assert.ok(!meansPrint(press({ key: "p" })))
  assert.equal(meansPrint(press({ key: "p", ctrlKey: true, shiftKey: true })), false)
})
