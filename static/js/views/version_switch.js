import { gettext } from "../language/translate.js"
import { fromTemplate, part, setText, show } from "./dom.js"

/** Switches between the versions of one message: "2 / 3" between two arrows; hidden if it has only one. */
export class VersionSwitch {
  #siblings = []
  #messageId = null
  #onSelect

  /** `onSelect(messageId, step)`: the version to show, and -1 or 1 for the arrow that was used. */
  constructor({ onSelect }) {
    this.#onSelect = onSelect
    this.element = fromTemplate("versions-template")
    for (const [name, step] of [
      ["previous", -1],
      ["next", 1],
    ]) {
      part(this.element, name).addEventListener("click", () => this.#go(step))
    }
  }

  get siblings() {
    return this.#siblings
  }

  /** All versions, from the oldest to the newest, and the one that is shown. */
  show(siblings, messageId) {
    this.#siblings = siblings
    this.#messageId = messageId
    const { place, count, previous, next } = placeAmong(siblings, messageId)
    setText(part(this.element, "place"), `${place} / ${count}`)
    this.element.ariaLabel = gettext("Version {place} of {count}", { place, count })
    part(this.element, "previous").disabled = previous === null
    part(this.element, "next").disabled = next === null
    show(this.element, count > 1)
  }

  /** Focuses the arrow that was used, or the other one if it leads no further. */
  focus(step) {
    const [first, second] = step < 0 ? ["previous", "next"] : ["next", "previous"]
    const arrow = part(this.element, first)
    const target = arrow.disabled ? part(this.element, second) : arrow
    target.focus({ preventScroll: true })
    // If it is visible, the view does not move.
    this.element.scrollIntoView({ block: "nearest" })
    return this.element.ariaLabel
  }

  #go(step) {
    const { previous, next } = placeAmong(this.#siblings, this.#messageId)
    const target = step < 0 ? previous : next
    if (target !== null) this.#onSelect(target, step)
  }
}

/** The position of a version: its place from 1, how many there are, and its neighbours or null. */
export function placeAmong(siblings, messageId) {
  const index = siblings.indexOf(messageId)
  return {
    place: index + 1,
    count: siblings.length,
    previous: siblings[index - 1] ?? null,
    next: siblings[index + 1] ?? null,
  }
}
