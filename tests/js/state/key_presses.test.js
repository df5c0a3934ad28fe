import assert from "node:assert/strict"
import { test } from "node:test"

import {
  isComposing,
  meansEditLast,
  meansPrint,
  meansSearch,
  meansSend,
  meansShortcuts,
  meansStop,
} from "../../../static/js/state/key_presses.js"

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

test("Ctrl or Command with K searches", () => {
  assert.equal(meansSearch(press({ key: "k", ctrlKey: true })), true)
  assert.equal(meansSearch(press({ key: "K", metaKey: true })), true)
  assert.equal(meansSearch(press({ key: "k", ctrlKey: true, altKey: true })), false)
  assert.ok(!meansSearch(press({ key: "k" })))
})

test("the arrow and Escape mean something by themselves, and nothing while a word is composed", () => {
  assert.equal(meansEditLast(press({ key: "ArrowUp", keyCode: 38 })), true)
  assert.equal(meansEditLast(press({ key: "ArrowUp", keyCode: 38, shiftKey: true })), false)
  assert.equal(meansEditLast(press({ key: "ArrowUp", keyCode: 229 })), false)
  assert.equal(meansStop(press({ key: "Escape", keyCode: 27 })), true)
  assert.equal(meansStop(press({ key: "Escape", keyCode: 27, ctrlKey: true })), false)
  assert.equal(meansStop(press({ key: "Escape", isComposing: true })), false)
})

test("a question mark asks for the keys where it is no letter, Ctrl and the slash everywhere", () => {
  const question = press({ key: "?", keyCode: 191, shiftKey: true })

  assert.equal(meansShortcuts(question, { isInText: false }), true)
  assert.equal(meansShortcuts(question, { isInText: true }), false)
  assert.equal(meansShortcuts(press({ key: "/", keyCode: 191, ctrlKey: true }), { isInText: true }), true)
  assert.equal(meansShortcuts(press({ key: "/", keyCode: 191 }), { isInText: false }), false)
})
