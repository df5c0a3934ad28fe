import assert from "node:assert/strict"
import { test } from "node:test"

import { safeHref, unsaidTarget, withoutInvisible } from "../../../static/js/text/link_policy.js"

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

test("joiners and selectors stay where they belong to what is seen", () => {
  for (const text of [
    "👩\u200D💻 team",
    "❤\uFE0F\u200D🔥",
    "1\uFE0F\u20E3",
    "👍🏽",
    "می\u200Cخواهم",
    "ක්\u200Dර",
    "☎\uFE0E",
  ]) {
    assert.equal(withoutInvisible(text), text)
  }
  assert.equal(withoutInvisible("goo\u200Dgle\u200C.com\uFE0F"), "google.com")
  assert.equal(withoutInvisible("a\u061C\u200Db"), "ab")
  assert.equal(withoutInvisible("👩\u200Dx \u200D💻"), "👩x 💻")
})

test("an address is returned as it leads by itself, not from a page", () => {
  assert.equal(safeHref("https:admin/"), "https://admin/")
  assert.equal(safeHref("HTTPS:\\\\evil.example\\a"), "https://evil.example/a")
})

for (const [href, text, target] of [
  ["https://evil.example/", "https://bank.example", "evil.example"],
  ["https://evil.example/", "https://evil.example.bank.example", "evil.example"],
  ["https://evil.example/", "https://bank.example@evil.example", "evil.example"],
  ["https://bank.example@evil.example/", "https://bank.example@evil.example/", "evil.example"],
  ["https://xn--pple-43d.example/", "https://\u0430pple.example/", "xn--pple-43d.example"],
  ["https://evil.example:8443/a", "https://evil.example/a", "evil.example:8443"],
  ["http://evil.example/", "https://evil.example/", "evil.example"],
  ["https://evil.example/", "here", "evil.example"],
  ["https://evil.example/", "", "evil.example"],
  ["mailto:a@evil.example", "a@bank.example", "a@evil.example"],
  ["https://good.example/a?b#c", "https://good.example/a?b#c", null],
  ["https://good.example/", "https://good.example", null],
  ["https://good.example/", "good.example", null],
  ["https://good.example/", "HTTPS://Good.Example/", null],
  ["mailto:a@good.example", "a@good.example", null],
]) {
  test(`of a link to ${href} that says "${text}" the page tells ${target ?? "nothing more"}`, () => {
    assert.equal(unsaidTarget(href, text), target)
  })
}
