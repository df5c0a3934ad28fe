import assert from "node:assert/strict"
import { readdirSync, readFileSync } from "node:fs"
import { test } from "node:test"

// From the top to the bottom: a module may import from its own room and from those below it.
const ROOMS = ["page", "views", "state", "text", "transport", "language"]
// What these hold runs without a page, so that Node can test it.
const WITHOUT_DOM = ["state", "text", "transport", "language"]
// Written by `manage.py write_words`; a test of the server holds it to its source.
const GENERATED = ["words.js"]
const DOM = /\b((document|window|location)\.\w|localStorage|querySelector|addEventListener)/

const MODULES = new URL("../../static/js/", import.meta.url)
const TESTS = new URL("./", import.meta.url)

const modulesOf = (room) => readdirSync(new URL(`${room}/`, MODULES)).filter((name) => name.endsWith(".js"))
const sourceOf = (room, name) => readFileSync(new URL(`${room}/${name}`, MODULES), "utf8")
const withoutComments = (source) => source.replace(/\/\*[\s\S]*?\*\/|\/\/.*$/gm, "")

test("every module is in a room, but for the three at the top", () => {
  const entries = readdirSync(MODULES, { withFileTypes: true })

  assert.deepEqual(
    entries
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name)
      .sort(),
    [...ROOMS].sort(),
  )
  assert.deepEqual(
    entries
      .filter((entry) => entry.isFile())
      .map(({ name }) => name)
      .sort(),
    ["config.js", "main.js", "shared.js"],
  )
})

test("a room imports only from the rooms below it", () => {
  const found = []
  for (const [height, room] of ROOMS.entries()) {
    for (const name of modulesOf(room)) {
      const imported = [...sourceOf(room, name).matchAll(/from "\.\.\/(\w+)\//g)].map(([, other]) => other)
      found.push(
        ...imported.map((other) => ({ name: `${room}/${name}`, other, isBelow: ROOMS.indexOf(other) > height })),
      )
    }
  }

  assert.ok(found.length > 10)
  assert.deepEqual(
    found.filter(({ isBelow }) => !isBelow),
    [],
  )
})

test("state, text and transport know no page, and each of their modules has a test", () => {
  for (const room of WITHOUT_DOM) {
    const tested = readdirSync(new URL(`${room}/`, TESTS))
    for (const name of modulesOf(room)) {
      assert.doesNotMatch(withoutComments(sourceOf(room, name)), DOM, `${room}/${name}`)
      if (GENERATED.includes(name)) continue
      assert.ok(tested.includes(name.replace(".js", ".test.js")), `${room}/${name} has no test`)
    }
  }
})
