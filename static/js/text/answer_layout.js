// A structured answer as what a page lays out: rows of an object, a table of a list of objects, lists, texts.

import { gettext } from "../language/translate.js"

export const ANSWER_TOOL = "structured_answer"

const MAX_DEPTH = 6
const MAX_COLUMNS = 8

/**
 * `{ kind: "text", text }`, `{ kind: "list", items }`, `{ kind: "rows", rows: [{ name, value }] }` or
 * `{ kind: "table", columns, rows }`; items, values and cells are layouts again, a cell without a value is null.
 */
export function layoutOf(value, depth = 0) {
  if (value === null || typeof value !== "object") return { kind: "text", text: scalarText(value) }
  if (depth >= MAX_DEPTH) return { kind: "text", text: JSON.stringify(value) }
  if (!Array.isArray(value)) {
    const rows = Object.entries(value).map(([name, inner]) => ({ name, value: layoutOf(inner, depth + 1) }))
    return { kind: "rows", rows }
  }
  const columns = columnsOf(value)
  if (columns === null) return { kind: "list", items: value.map((inner) => layoutOf(inner, depth + 1)) }
  const rows = value.map((row) =>
    columns.map((name) => (Object.hasOwn(row, name) ? layoutOf(row[name], depth + 1) : null)),
  )
  return { kind: "table", columns, rows }
}

/** The answer for reading aloud. */
export function spokenLayout(layout) {
  if (layout === null) return ""
  switch (layout.kind) {
    case "rows":
      return layout.rows.map(({ name, value }) => `${name}: ${spokenLayout(value)}.`).join(" ")
    case "table":
      return layout.rows
        .map((row) => row.map((cell, place) => `${layout.columns[place]}: ${spokenLayout(cell)}`).join(", "))
        .join("; ")
    case "list":
      return layout.items.map(spokenLayout).join(", ")
    default:
      return layout.text
  }
}

/** The object that a tool's input is, or null while it is not whole. */
export function parsedAnswer(json) {
  try {
    const value = JSON.parse(json)
    return value !== null && typeof value === "object" ? value : null
  } catch {
    return null
  }
}

function scalarText(value) {
  if (value === null) return "–"
  if (typeof value === "boolean") return value ? gettext("yes") : gettext("no")
  return String(value)
}

// The names of all members, where every item is an object of few and simple ones.
function columnsOf(items) {
  if (items.length === 0 || !items.every((item) => item !== null && typeof item === "object" && !Array.isArray(item)))
    return null
  const columns = [...new Set(items.flatMap(Object.keys))]
  return columns.length > 0 && columns.length <= MAX_COLUMNS ? columns : null
}
