import { describeWarmth } from "../text/warmth_words.js"
import { part, setText, show } from "./dom.js"

/** Shows beside the composer whether a reply will begin soon; a press tells more. */
export class WarmthBadge {
  #root
  #button

  constructor({ root }) {
    this.#root = root
    this.#button = part(root, "button")
    this.#button.addEventListener("click", () => this.#open(this.#button.ariaExpanded !== "true"))
    root.addEventListener("keydown", (event) => event.key === "Escape" && this.#open(false))
    root.addEventListener("focusout", ({ relatedTarget }) => root.contains(relatedTarget) || this.#open(false))
  }

  show(warmth) {
    const { label, detail } = describeWarmth(warmth)
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
