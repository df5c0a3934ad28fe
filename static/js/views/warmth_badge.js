import { describeWarmth } from "../text/warmth_words.js"
import { part, setText, show } from "./dom.js"

/** Shows beside the composer whether a reply will begin soon; a press tells more. */
export class WarmthBadge {
  #root
  #button
  #warmth = null
  #hasFiles = false

  constructor({ root }) {
    this.#root = root
    this.#button = part(root, "button")
    this.#button.addEventListener("click", () => this.#open(this.#button.ariaExpanded !== "true"))
    root.addEventListener("keydown", (event) => event.key === "Escape" && this.#open(false))
    root.addEventListener("focusout", ({ relatedTarget }) => root.contains(relatedTarget) || this.#open(false))
  }

  /** How many files are attached to the draft. */
  attached(count) {
    this.#hasFiles = count > 0
    if (this.#warmth !== null) this.show(this.#warmth)
  }

  show(warmth) {
    this.#warmth = warmth
    const { label, detail } = describeWarmth(warmth, { hasFiles: this.#hasFiles })
    const { dataset } = this.#button
    dataset.state = warmth.state
    dataset.reason = warmth.reason ?? ""
    setText(part(this.#root, "label"), label)
    setText(part(this.#root, "detail"), detail)
  }

  #open(isOpen) {
    this.#button.ariaExpanded = String(isOpen)
    show(part(this.#root, "detail"), isOpen)
  }
}
