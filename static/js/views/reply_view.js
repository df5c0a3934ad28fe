import { ANSWER_TOOL } from "../text/answer_layout.js"
import { resultText } from "../text/block_words.js"
import { endingText, factsLine, mayEditQuestion, mayGoOn, mayTryAgain, replyFacts } from "../text/reply_words.js"
import { Sources, sourceLines } from "../text/sources.js"
import { AnswerView } from "./answer_view.js"
import { copiesOnClick } from "./clipboard.js"
import { ConsentView } from "./consent_view.js"
import { fromTemplate, part, setText, show } from "./dom.js"
import { MarkdownView } from "./markdown_view.js"
import { PlainBlockView } from "./plain_block_view.js"
import { SourceList } from "./source_list.js"
import { VersionSwitch } from "./version_switch.js"

/** One reply in the page: streamed, restored from a snapshot, or complete. */
export class ReplyView {
  #root
  #body
  // By number; neighbouring text blocks share one view, because they are one text.
  #blocks = new Map()
  #lastView = null
  // By the id that their results name.
  #calls = new Map()
  // By the id of the call that waits for an answer, or did.
  #questions = new Map()
  #onAnswer
  #sources = new Sources()
  #sourceList
  #waiting
  #drawing
  #scheduler
  #hasWords = false
  #measuredTtftMs = null
  #ending = null
  #versions

  /**
   * `onTryAgain(replyId, pressedAt)`, `onSelect(replyId, step)`, `onEditQuestion(parentId)`, `onGoOn(pressedAt)`,
   * `onAnswer(replyId, callId, answer)`; `scheduler` is the page's `RenderScheduler`; `highlighter`, `typesetter` and `clock` are for its blocks.
   */
  constructor({
    replyId,
    parentId,
    assistantName,
    scheduler,
    onTryAgain,
    onSelect,
    onEditQuestion,
    onGoOn,
    onAnswer,
    ...drawing
  }) {
    this.replyId = replyId
    this.parentId = parentId
    this.element = fromTemplate("reply-template")
    this.element.dataset.messageId = replyId
    this.#root = part(this.element, "reply")
    this.#body = part(this.element, "body")
    this.#sourceList = new SourceList(part(this.element, "sources"))
    this.#waiting = part(this.element, "waiting")
    this.#drawing = drawing
    this.#scheduler = scheduler
    this.#onAnswer = onAnswer
    this.#versions = new VersionSwitch({ onSelect })
    part(this.element, "foot").prepend(this.#versions.element)
    setText(part(this.element, "author"), assistantName)
    copiesOnClick(part(this.element, "copy"), () => [this.text, ...this.#sourcesAsText()].join("\n\n"))
    part(this.element, "edit-question").addEventListener("click", () => onEditQuestion(parentId))
    part(this.element, "go-on").addEventListener("click", (event) => onGoOn(event.timeStamp))
    for (const name of ["again", "regenerate"]) {
      part(this.element, name).addEventListener("click", (event) => onTryAgain(replyId, event.timeStamp))
    }
  }

  get isEnded() {
    return this.#ending !== null
  }

  get siblings() {
    return this.#versions.siblings
  }

  /** All replies to the same message, from the oldest to the newest. */
  versions(siblings) {
    this.#versions.show(siblings, this.replyId)
  }

  focusVersion(step) {
    return this.#versions.focus(step)
  }

  /** What the assistant gets in place of everything up to here: `{ text }`, or null. */
  summarised(summary) {
    show(part(this.element, "summarised"), summary !== null)
    setText(part(this.element, "summary"), summary?.text ?? "")
  }

  get text() {
    const told = [...this.#views].filter((view) => view instanceof MarkdownView || view instanceof AnswerView)
    const texts = told.map((view) => view.source)
    return texts.filter((text) => text.trim() !== "").join("\n\n")
  }

  /** The answer's text without its code, for reading aloud: a little more than `chars` of it, if there is more. */
  spokenText(chars) {
    const spoken = []
    let left = chars
    for (const block of this.#body.querySelectorAll(".prose__part > :not(.code)")) {
      if (left < 0) break
      spoken.push(spokenTextOf(block))
      left -= spoken.at(-1).length
    }
    return [...spoken, ...this.#answers.map((view) => view.spokenText)].join(" ")
  }

  /** `streaming` until the reply has ended. */
  started({ warmth }) {
    this.#root.dataset.status = "streaming"
    this.#root.dataset.warmth = warmth ?? ""
    this.#root.ariaBusy = "true"
  }

  /** Everything so far; replaces what is shown. */
  showBlocks(blocks) {
    this.#blocks.clear()
    this.#calls.clear()
    this.#questions.clear()
    this.#lastView = null
    this.#sources = new Sources()
    this.#body.replaceChildren()
    for (const block of blocks) {
      this.#viewFor(block).append(block.text)
      if (block.state === "stop") this.#blockEnded(block)
    }
    for (const view of this.#views) this.#scheduler.flush(view)
    this.#noteWords()
  }

  /** Takes a `reply.delta`; returns whether it had the reply's first words. */
  append(delta) {
    const view = this.#viewFor(delta)
    view.append(delta.text)
    const isFirst = delta.kind === "text" && !this.#hasWords
    if (isFirst) this.#scheduler.flush(view)
    else this.#scheduler.request(view)
    this.#noteWords()
    return isFirst && this.#hasWords
  }

  /** Takes a `reply.block`. */
  block(frame) {
    const view = this.#viewFor(frame)
    if (frame.state !== "stop") return view.began?.()
    this.#blockEnded(frame)
    this.#scheduler.request(view)
    this.#noteWords()
  }

  /** `{ status, stopReason, stopDetails, error, usage, warmth, ttftMs, costUsd }` of the ended reply. */
  ended(ending) {
    for (const view of this.#views) view.finish()
    for (const callId of this.#questions.keys()) this.#answered(callId, null)
    this.#ending = ending
    this.#root.dataset.status = ending.status
    this.#root.dataset.warmth = ending.warmth ?? ""
    this.#root.ariaBusy = null
    show(this.#waiting, false)
    this.#showEnding()
    this.#showFacts()
  }

  /** From press to first words on the screen, as this page measured it. */
  measured(ttftMs) {
    this.#measuredTtftMs = ttftMs
    this.#root.dataset.ttftMs = String(Math.round(ttftMs * 10) / 10)
    if (this.#ending !== null) this.#showFacts()
  }

  get #views() {
    return new Set(this.#blocks.values())
  }

  get #answers() {
    return [...this.#views].filter((view) => view instanceof AnswerView)
  }

  #sourcesAsText() {
    const lines = sourceLines(this.#sources.all)
    return lines.length > 0 ? [lines.join("\n")] : []
  }

  #viewFor({ block, kind, name }) {
    if (!this.#blocks.has(block))
      this.#blocks.set(block, this.#goesOn(kind) ? this.#lastView : this.#newView(kind, name))
    const view = this.#blocks.get(block)
    if (name) view.named?.(name)
    return view
  }

  #goesOn(kind) {
    return kind === "text" && this.#lastView instanceof MarkdownView
  }

  #newView(kind, name) {
    return this.#begin(this.#viewOf(kind, name))
  }

  #viewOf(kind, name) {
    if (kind === "text") return new MarkdownView(this.#drawing)
    return kind === "tool_input" && name === ANSWER_TOOL ? new AnswerView() : new PlainBlockView(kind, this.#drawing)
  }

  #begin(view) {
    this.#lastView?.finish()
    this.#lastView = view
    this.#body.append(view.element)
    return view
  }

  // What the chat itself has added, which is known only at its end: an answer found in the text, or a note.
  #ownEnded(block, data) {
    if (data?.type === "chat.consent") return this.#asked(block, data)
    if (data?.type === "chat.consented") return this.#answered(data.tool_use_id, data.answer)
    if (data?.type !== "chat.answer" && data?.type !== "chat.note") return
    const isAnswer = data.type === "chat.answer" && !data.is_cut
    const view = this.#begin(isAnswer ? new AnswerView() : new PlainBlockView("note", this.#drawing))
    this.#blocks.set(block, view)
    view.append(isAnswer ? JSON.stringify(data.answer) : (data.text ?? ""))
    view.finish()
  }

  #asked(block, { tool_use_id: callId, ...question }) {
    const input = this.#calls.get(callId)?.text ?? ""
    const onAnswer = (answer) => this.#onAnswer(this.replyId, callId, answer)
    const view = this.#begin(new ConsentView({ question, input, onAnswer }))
    this.#blocks.set(block, view)
    this.#questions.set(callId, view)
    this.#calls.get(callId)?.consented("asked")
  }

  // Only the first answer counts; null: the reply has ended without one.
  #answered(callId, answer) {
    const question = this.#questions.get(callId)
    if (!question?.isOpen) return
    question.close(answer)
    this.#calls.get(callId)?.consented(["once", "always"].includes(answer) ? null : "declined")
  }

  // A text is finished when something else follows it: the next text block goes on with it.
  #blockEnded({ block, kind, data }) {
    const view = this.#blocks.get(block)
    if (data?.tool_use_id && !data.type.startsWith("chat."))
      this.#calls.get(data.tool_use_id)?.answered(resultText(data), data)
    if (kind === "other") this.#ownEnded(block, data)
    if (kind === "tool_input" && data?.id) this.#calls.set(data.id, view)
    if (kind !== "text") return view.finish()
    view.cite(this.#sources.cite(data?.citations))
    this.#sourceList.show(this.#sources.all)
  }

  #noteWords() {
    this.#hasWords ||= this.text.trim() !== ""
    const isAsked = [...this.#questions.values()].some(({ isOpen }) => isOpen)
    if (this.#blocks.size > 0) show(this.#waiting, !this.#hasWords && !isAsked)
  }

  #showEnding() {
    const hasAnswer = this.#answers.some((view) => view.source !== "")
    const text = endingText(hasAnswer ? { ...this.#ending, stopReason: null } : this.#ending)
    const notice = part(this.element, "ending")
    setText(part(this.element, "ending-text"), text ?? "")
    show(notice, text !== null)
    show(part(this.element, "again"), mayTryAgain(this.#ending))
    show(part(this.element, "go-on"), mayGoOn(this.#ending))
    show(part(this.element, "edit-question"), mayEditQuestion(this.#ending))
    show(part(this.element, "regenerate"), this.#ending.status === "complete")
    show(part(this.element, "actions"), this.#hasWords)
  }

  #showFacts() {
    const { ttftMs, usage, costUsd, warmth } = this.#ending
    const isFelt = this.#measuredTtftMs !== null
    const facts = replyFacts({ ttftMs: isFelt ? this.#measuredTtftMs : ttftMs, isFelt, usage, costUsd, warmth })
    // A number and its unit stay on one line.
    setText(part(this.element, "facts-line"), factsLine(facts).replace(/(\d) /g, "$1\u00a0"))
    part(this.element, "facts-list").replaceChildren(...facts.flatMap(factRows))
    show(part(this.element, "facts"), facts.length > 0)
  }
}

function spokenTextOf(element) {
  const spoken = element.cloneNode(true)
  for (const mark of spoken.querySelectorAll(".cite")) mark.remove()
  for (const formula of spoken.querySelectorAll("[data-source]")) formula.textContent = formula.dataset.source
  return spoken.textContent.trim()
}

function factRows({ name, long }) {
  const term = document.createElement("dt")
  const description = document.createElement("dd")
  term.textContent = name
  description.textContent = long
  return [term, description]
}
