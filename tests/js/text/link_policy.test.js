import assert from "node:assert/strict"
import { test } from "node:test"

import { safeHref, withoutInvisible } from "../../../static/js/text/link_policy.js"

test("only addresses of the web and of mail are followed", () => {
  assert.equal(safeHref("https://example.com/a b"), "https://example.com/a%20b")
  assert.equal(safeHref("mailto:a@example.com"), "mailto:a@example.com")
  for (const address of [
    "javascript:alert(1)",
    "data:text/html,x",
    "ftp://example.com",
    "/path",
    "#top",
    "",
    "//x.example",
  ]) {
    assert.equal(safeHref(address), null, address)
  }
})

test("characters that hide or turn others are taken out", () => {
  assert.equal(withoutInvisible("a\u200Bb\u202Ec\u2066d\uFEFFe\u{E0041}f"), "abcdef")
})
