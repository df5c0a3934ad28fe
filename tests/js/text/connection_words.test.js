import assert from "node:assert/strict"
import { test } from "node:test"

import { connectionText } from "../../../static/js/text/connection_words.js"

test("a page says nothing of a connection that is well, and something of any other", () => {
  assert.equal(connectionText({ state: "ready", code: null }), null)
  for (const status of [
    { state: "waiting", code: 1006 },
    { state: "waiting", code: 4412 },
    { state: "ended", code: 4403 },
    { state: "ended", code: 4409 },
    { state: "ended", code: 4401 },
    { state: "connecting", code: null },
  ]) {
    assert.ok(connectionText(status).length > 10, JSON.stringify(status))
  }
})

test("a restart is told as what it is, and any other break as a reconnect", () => {
  assert.match(connectionText({ state: "waiting", code: 4412 }), /restart/)
  assert.equal(connectionText({ state: "waiting", code: 1006 }), connectionText({ state: "connecting", code: null }))
})
