import assert from "node:assert/strict"
import { readFileSync } from "node:fs"
import { test } from "node:test"
import { runInNewContext } from "node:vm"
import { FakeStorage } from "../fakes.js"

const SCRIPT = readFileSync(new URL("../../../static/early/theme.js", import.meta.url), "utf8")
const FORBIDDEN = {
  getItem() {
    throw new Error("forbidden")
  },
  setItem() {
    throw new Error("forbidden")
  },
}

/** A page in whose head the script has just run: what it shows, and what a person and other tabs do to it. */
function pageWith(localStorage) {
  const selects = []
  const metas = ["light", "dark"].map((scheme) => ({ dataset: { scheme }, media: "" }))
  const listeners = new Map()
  const listen = (name, listener) => listeners.set(name, listener)
  const root = { dataset: {} }
  const document = {
    documentElement: root,
    querySelectorAll: (selector) => (selector === "[data-theme-choice]" ? selects : metas),
    addEventListener: listen,
  }
  runInNewContext(SCRIPT, { document, localStorage, addEventListener: listen })
  return {
    theme: () => root.dataset.theme,
    medias: () => metas.map(({ media }) => media),
    hear: (name, event = {}) => listeners.get(name)(event),
    addSelect() {
      const select = { value: "", matches: (selector) => selector === "[data-theme-choice]" }
      selects.push(select)
      return select
    },
    choose(select, value) {
      select.value = value
      this.hear("change", { target: select })
    },
  }
}

function storageWith(theme) {
  const storage = new FakeStorage()
  if (theme !== undefined) storage.setItem("theme", theme)
  return storage
}

test("a chosen theme is there before the page has a body", () => {
  assert.equal(pageWith(storageWith("dark")).theme(), "dark")
  assert.equal(pageWith(storageWith("light")).theme(), "light")
})

test("without a choice, with a strange one and where storage is forbidden the system decides", () => {
  for (const storage of [storageWith(), storageWith("auto"), storageWith("purple"), FORBIDDEN]) {
    const page = pageWith(storage)

    assert.equal(page.theme(), undefined)
    assert.deepEqual(page.medias(), ["(prefers-color-scheme: light)", "(prefers-color-scheme: dark)"])
  }
})

test("each switch of the page shows the choice, as soon as there is one to show it", () => {
  const page = pageWith(storageWith("dark"))
  const select = page.addSelect()

  page.hear("DOMContentLoaded")

  assert.equal(select.value, "dark")
  assert.deepEqual(page.medias(), ["not all", "all"])
})

test("a choice is shown at once and kept under the name that Django's admin reads", () => {
  const storage = storageWith()
  const page = pageWith(storage)
  const select = page.addSelect()

  page.choose(select, "light")

  assert.equal(page.theme(), "light")
  assert.equal(storage.getItem("theme"), "light")
})

test("another tab's choice is followed, and back to the system too", () => {
  const storage = storageWith("dark")
  const page = pageWith(storage)

  storage.setItem("theme", "auto")
  page.hear("storage")

  assert.equal(page.theme(), undefined)
})

test("where storage is forbidden a choice holds until the page is left", () => {
  const page = pageWith(FORBIDDEN)

  page.choose(page.addSelect(), "dark")
  page.hear("pageshow")

  assert.equal(page.theme(), "dark")
})

test("what else changes on a page is no theme", () => {
  const storage = storageWith()
  const page = pageWith(storage)

  page.hear("change", { target: { value: "dark", matches: () => false } })

  assert.equal(page.theme(), undefined)
  assert.equal(storage.getItem("theme"), null)
})
