import assert from "node:assert/strict"
import { test } from "node:test"
import { wipeStored } from "../../../static/js/state/sign_out_wipe.js"

function storageOf(...names) {
  const kept = new Map(names.map((name) => [name, "1"]))
  return {
    get length() {
      return kept.size
    },
    key: (index) => [...kept.keys()][index],
    removeItem: (name) => kept.delete(name),
    names: () => [...kept.keys()],
  }
}

test("everything of this page goes from every storage, and nothing of another page", () => {
  const kinds = ["draft", "files", "edit", "draft-left", "files-left", "outbox"]
  const local = storageOf(...kinds.map((kind) => `warmcache:${kind}:1:new`), "another")
  const ofTab = storageOf("warmcache:draft:1:new", "warmcache:files:1:key")

  wipeStored(
    () => local,
    () => {
      throw new Error("forbidden")
    },
    () => ofTab,
  )

  assert.deepEqual(local.names(), ["another"])
  assert.deepEqual(ofTab.names(), [])
})
