import { endingText, isRefused, mayTryAgain, replyFacts } from "../text/reply_words.js"
import { copiesOnClick } from "./clipboard.js"
import { fromTemplate, part, setText, show } from "./dom.js"
import { MarkdownView } from "./markdown_view.js"
import { PlainBlockView } from "./plain_block_view.js"
import { VersionSwitch } from "./version_switch.js"

/** One reply in the page: streamed, restored from a snapshot, or complete. */
export class ReplyView {
  #root
  #body
  #blocks = new Map()
  #highlighter
  #scheduler
  #hasWords = false
  #measuredTtftMs = null
  #ending = null
  #versions

  /**
   * `onTryAgain(replyId, pressedAt)`, `onSelect(replyId, step)`, `onEditQuestion(parentId)`; `scheduler` is the page's
   * `RenderScheduler`.
   */
  constructor({ replyId, parentId, assistantName, highlighter, scheduler, onTryAgain, onSelect, onEditQuestion }) {
    this.replyId = replyId
    this.parentId = parentId
    this.element = fromTemplate("reply-template")
    this.element.dataset.messageId = replyId
    this.#root = part(this.element, "reply")
    this.#body = part(this.element, "body")
    this.#highlighter = highlighter
    this.#scheduler = scheduler
    this.#versions = new VersionSwitch({ onSelect })
    part(this.element, "foot").prepend(this.#versions.element)
    setText(part(this.element, "author"), assistantName)
    copiesOnClick(part(this.element, "copy"), () => this.text)
    part(this.element, "edit-question").addEventListener("click", () => onEditQuestion(parentId))
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

  get text() {
    const prose = [...this.#blocks.values()].filter((view) => view instanceof MarkdownView)
    return prose.map((view) => view.source).join("\n\n")
  }

  /** The answer's text without its code, for reading aloud. */
  get spokenText() {
    const blocks = this.#body.querySelectorAll(".prose > :not(.code)")
    return Array.from(blocks, ({ textContent }) => textContent.trim()).join(" ")
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
    this.#body.replaceChildren()
    for (const block of blocks) {
      const view = this.#viewFor(block)
      view.append(block.text)
      this.#scheduler.flush(view)
      if (block.state === "stop") view.finish()
    }
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
    if (frame.state === "stop") view.finish()
  }

  /** `{ status, stopReason, stopDetails, error, usage, warmth, ttftMs, costUsd }` of the ended reply. */
  ended(ending) {
    for (const view of this.#blocks.values()) view.finish()
    this.#ending = ending
    this.#root.dataset.status = ending.status
    this.#root.dataset.warmth = ending.warmth ?? ""
    this.#root.ariaBusy = null
    show(part(this.element, "waiting"), false)
    this.#showEnding()
    this.#showFacts()
  }

  /** From press to first words on the screen, as this page measured it. */
  measured(ttftMs) {
    this.#measuredTtftMs = ttftMs
    this.#root.dataset.ttftMs = String(Math.round(ttftMs * 10) / 10)
    if (this.#ending !== null) this.#showFacts()
  }

  #viewFor({ block, kind, name }) {
    if (!this.#blocks.has(block)) {
      const view = kind === "text" ? new MarkdownView({ highlighter: this.#highlighter }) : new PlainBlockView(kind)
      this.#blocks.set(block, view)
      this.#body.append(view.element)
    }
    const view = this.#blocks.get(block)
    if (name) view.named?.(name)
    return view
  }

  #noteWords() {
    this.#hasWords ||= this.text.trim() !== ""
    if (this.#blocks.size > 0) show(part(this.element, "waiting"), !this.#hasWords)
  }

  #showEnding() {
    const text = endingText(this.#ending)
    const notice = part(this.element, "ending")
    setText(part(this.element, "ending-text"), text ?? "")
    show(notice, text !== null)
    show(part(this.element, "again"), mayTryAgain(this.#ending))
    show(part(this.element, "edit-question"), isRefused(this.#ending))
    show(part(this.element, "regenerate"), this.#ending.status === "complete")
    show(part(this.element, "actions"), this.#hasWords)
  }

  #showFacts() {
    const { ttftMs, usage, costUsd, warmth } = this.#ending
    const isFelt = this.#measuredTtftMs !== null
    const facts = replyFacts({ ttftMs: isFelt ? this.#measuredTtftMs : ttftMs, isFelt, usage, costUsd, warmth })
    // A number and its unit stay on one line.
    const line = facts.map(({ short }) => short.replace(/(\d) /g, "$1\u00a0")).join(" · ")
    setText(part(this.element, "facts-line"), line)
    part(this.element, "facts-list").replaceChildren(...facts.flatMap(factRows))
    show(part(this.element, "facts"), facts.length > 0)
  }
}

function factRows({ name, long }) {
  const term = document.createElement("dt")
  const description = document.createElement("dd")
  term.textContent = name
  description.textContent = long
  return [term, description]
}
