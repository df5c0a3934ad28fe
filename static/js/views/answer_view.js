import { layoutOf, parsedAnswer, spokenLayout } from "../text/answer_layout.js"
import { fromTemplate, part, setText, show } from "./dom.js"

/** A structured answer, laid out once it is whole; until then it is being written. */
export class AnswerView {
  #json = ""
  #layout = null
  #isRefused = false

  constructor() {
    this.element = fromTemplate("answer-template")
  }

  /** For a copy of the reply; empty for an answer that was not accepted. */
  get source() {
    return this.#isRefused || this.#layout === null ? "" : part(this.element, "json").textContent
  }

  get spokenText() {
    return this.source === "" ? "" : spokenLayout(this.#layout)
  }

  append(json) {
    this.#json += json
  }

  draw() {}

  /** What the chat told the model about it. */
  answered(_text, data) {
    this.#isRefused = data.is_error === true
    show(part(this.element, "refused"), this.#isRefused)
    show(part(this.element, "table"), !this.#isRefused)
  }

  finish() {
    const value = parsedAnswer(this.#json)
    if (this.#layout !== null || value === null) return
    this.#layout = layoutOf(value)
    part(this.element, "table").replaceChildren(elementOf(this.#layout))
    setText(part(this.element, "json"), JSON.stringify(value, null, 2))
    show(part(this.element, "as-json"), true)
    show(part(this.element, "waiting"), false)
  }
}

function elementOf(layout) {
  switch (layout?.kind) {
    case "rows":
      return tableOf(layout.rows.map(({ name, value }) => rowOf([headOf(name, "row"), cellOf(value)])))
    case "table":
      return tableOf(
        layout.rows.map((row) => rowOf(row.map(cellOf))),
        layout.columns.map((name) => headOf(name, "col")),
      )
    case "list":
      return listOf(layout.items)
    default:
      return textOf(layout?.text ?? "")
  }
}

function tableOf(rows, heads = []) {
  const table = document.createElement("table")
  const body = document.createElement("tbody")
  body.append(...rows)
  if (heads.length > 0) {
    const head = document.createElement("thead")
    head.append(rowOf(heads))
    table.append(head)
  }
  table.append(body)
  return table
}

function rowOf(cells) {
  const row = document.createElement("tr")
  row.append(...cells)
  return row
}

function headOf(name, scope) {
  const head = document.createElement("th")
  head.scope = scope
  head.dir = "auto"
  head.textContent = name
  return head
}

function cellOf(layout) {
  const cell = document.createElement("td")
  cell.append(elementOf(layout))
  return cell
}

function listOf(items) {
  const list = document.createElement("ul")
  for (const each of items) {
    const item = document.createElement("li")
    item.append(elementOf(each))
    list.append(item)
  }
  return list
}

function textOf(text) {
  const element = document.createElement("span")
  element.dir = "auto"
  element.textContent = text
  return element
}
