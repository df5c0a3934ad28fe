import { gettext, gettext_noop } from "../language/translate.js"
import { meansEditLast, meansSend } from "../state/key_presses.js"
import { charsTooMany, tooManyText } from "../text/text_limit.js"
import { part, setText, show } from "./dom.js"

const HINT = gettext_noop("Enter sends, Shift+Enter begins a new line")
const HINT_WHILE_RUNNING = gettext_noop("Enter sends it when the reply is done")

/**
 * The message box with Send, and beside it Stop while a reply runs: never in its place, because the second press of a
 * double click on Send would stop the reply.
 */
export class Composer {
  #form
  #input
  #send
  #stop
  #onSend
  #onTyped
  #onEditLast
  #isTouch
  #isRunning = false
  #isBlocked = false
  #hasRestored = false
  #attachments = { count: 0, isBusy: false }
  #limits = null

  /**
   * `onSend(text, pressedAt)` returns whether the text was taken; `onTyped(text)` is called for the person's own
   * changes, not for text that the page inserts; `onStop()`; `onEditLast()` returns whether there is a message to edit;
   * `isTouch()`: whether the keyboard is one on the screen.
   */
  constructor({ form, onSend, onTyped, onStop, onEditLast, isTouch }) {
    this.#form = form
    this.#input = part(form, "input")
    this.#send = part(form, "send")
    this.#stop = part(form, "stop")
    this.#onSend = onSend
    this.#onTyped = onTyped
    this.#onEditLast = onEditLast
    this.#isTouch = isTouch
    this.#input.addEventListener("input", () => this.#changed())
    this.#input.addEventListener("keydown", (event) => this.#keyPressed(event))
    form.addEventListener("submit", (event) => this.#submitted(event))
    this.#stop.addEventListener("click", onStop)
    this.#show()
  }

  get text() {
    return this.#input.value
  }

  /** Inserts a text that the person did not type now; text typed before this script ran stays. */
  restore(text) {
    const early = this.#hasRestored ? "" : this.#input.value
    this.#hasRestored = true
    this.#input.value = text.endsWith(early) ? text : text + early
    this.#grow()
    this.#show()
    if (this.#input.value !== text) this.#changed()
  }

  /** Adds a text that the person chose, to be read and changed before it is sent. */
  write(text) {
    this.#input.value = [this.text, text].filter((part) => part !== "").join("\n")
    this.#changed()
    this.focus()
  }

  /** The `limits` of `ready`. */
  limit(limits) {
    this.#limits = limits
    this.#show()
  }

  /** What is left of the person's limits; empty while there is enough. */
  quota(text) {
    setText(part(this.#form, "quota"), text)
  }

  /** While a reply runs, what a person sends waits for its end. */
  running(isRunning) {
    const hadFocus = document.activeElement === this.#stop
    this.#isRunning = isRunning
    this.#show()
    if (hadFocus && !isRunning) this.#input.focus()
  }

  /** While the first message of a new chat is being sent, there is no conversation yet for another one. */
  blocked(isBlocked) {
    this.#isBlocked = isBlocked
    this.#show()
  }

  /** How many files go with the message, and whether one of them is still being uploaded. */
  attached({ count, isBusy }) {
    this.#attachments = { count, isBusy }
    this.#show()
  }

  focus() {
    this.#input.focus({ preventScroll: true })
  }

  /** After a press on something that has gone by it. On a touch screen a focus would open the keyboard. */
  rest() {
    if (!this.#isTouch()) this.focus()
  }

  #changed() {
    this.#grow()
    this.#show()
    this.#onTyped(this.text)
  }

  #keyPressed(event) {
    if (meansEditLast(event) && this.text === "" && this.#onEditLast()) return event.preventDefault()
    if (!meansSend(event, { isTouch: this.#isTouch() })) return
    event.preventDefault()
    this.#trySend(event.timeStamp)
  }

  #submitted(event) {
    event.preventDefault()
    this.#trySend(event.timeStamp)
  }

  #trySend(pressedAt) {
    if (!this.#maySend() || !this.#onSend(this.text, pressedAt)) return
    this.restore("")
    this.focus()
  }

  #maySend() {
    return this.#hasContent() && !this.#attachments.isBusy && !this.#isBlocked && this.#charsOver() <= 0
  }

  #hasContent() {
    return this.text.trim() !== "" || this.#attachments.count > 0
  }

  #charsOver() {
    return this.#limits === null ? 0 : charsTooMany(this.text, this.#limits)
  }

  #show() {
    show(this.#stop, this.#isRunning)
    this.#send.disabled = !this.#maySend()
    this.#input.enterKeyHint = this.#isTouch() ? "enter" : "send"
    this.#send.ariaLabel = this.#isRunning ? gettext("Send when the reply is done") : gettext("Send")
    setText(part(this.#form, "hint"), gettext(this.#isRunning ? HINT_WHILE_RUNNING : HINT))
    const over = this.#charsOver()
    this.#input.ariaInvalid = String(over > 0)
    setText(part(this.#form, "limit"), tooManyText(over))
  }

  // Sizes the field by its content if the browser cannot.
  #grow() {
    if (CSS.supports("field-sizing", "content")) return
    this.#input.style.setProperty("block-size", "auto")
    this.#input.style.setProperty("block-size", `${this.#input.scrollHeight}px`)
  }
}
