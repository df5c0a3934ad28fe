import assert from "node:assert/strict"
import { test } from "node:test"
import { shortTime, timeGroup } from "../../../static/js/text/time_groups.js"

const NOW = new Date(2026, 10, 28, 10, 0).getTime()

test("conversations are grouped by the person's own days", () => {
  const groups = [
    [new Date(2026, 10, 28, 0, 1), "Today"],
    [new Date(2026, 10, 28, 10, 5), "Today"],
    [new Date(2026, 10, 27, 23, 59), "Yesterday"],
    [new Date(2026, 10, 26, 1, 0), "Last 7 days"],
    [new Date(2026, 10, 22, 1, 0), "Last 7 days"],
    [new Date(2026, 10, 21, 23, 0), "Last 30 days"],
    [new Date(2026, 9, 20), "October"],
    [new Date(2025, 11, 31), "December 2025"],
  ]

  for (const [at, group] of groups) assert.equal(timeGroup(at.toISOString(), NOW), group)
})

test("a hit of today has a time, an older one a date", () => {
  assert.equal(shortTime(new Date(2026, 10, 28, 9, 5).toISOString(), NOW), "09:05")
  assert.match(shortTime(new Date(2026, 10, 1).toISOString(), NOW), /Nov/)
  assert.match(shortTime(new Date(2024, 10, 1).toISOString(), NOW), /2024/)
})
