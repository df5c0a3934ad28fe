import { gettext, gettext_noop } from "../language/translate.js"
import { showPicture } from "./attached_files.js"
import { fromTemplate, part, setText, show } from "./dom.js"

const STATES = { uploading: gettext_noop("Reading…"), ready: "", failed: "" }

/** Takes files (paper clip, drop, paste), and shows a chip for each file of the message. */
export class AttachmentTray {
  #list
  #button
  #onRemove

  /**
   * `form` is the composer's, `dropZone` takes files from outside; `onFiles(files)`, `onRemove(key)`. A text of more than
   * `pasteChars` that is pasted becomes a file.
   */
  constructor({ form, dropZone, pasteChars, onFiles, onRemove }) {
    this.#list = part(form, "attachments")
    this.#button = part(form, "attach")
    this.#onRemove = onRemove
    const input = part(form, "file")
    this.#button.addEventListener("click", () => input.click())
    input.addEventListener("change", () => {
      onFiles([...input.files])
      input.value = "" // so that the same file can be chosen again
    })
    form.addEventListener("paste", (event) => {
      const files = pastedFiles(event.clipboardData, pasteChars)
      if (files.length === 0) return
      event.preventDefault()
      onFiles(files)
    })
    this.#takeDrops(dropZone, onFiles)
  }

  show(entries) {
    const focused = [...this.#list.children].findIndex((chip) => chip.contains(document.activeElement))
    this.#list.replaceChildren(...entries.map((entry) => this.#chip(entry)))
    show(this.#list, entries.length > 0)
    if (focused >= 0) this.#focusNear(focused)
  }

  #chip({ key, name, state, message, ...file }) {
    const chip = fromTemplate("attachment-template")
    chip.dataset.state = state
    setText(part(chip, "name"), name)
    setText(part(chip, "state"), message ?? gettext(STATES[state]))
    const image = part(chip, "image")
    show(image, file.width > 0)
    if (file.width > 0) showPicture(image, { ...file, name: "" })
    const remove = part(chip, "remove")
    remove.ariaLabel = gettext("Remove {name}", { name })
    remove.addEventListener("click", () => this.#onRemove(key))
    return chip
  }

  // Keyboard users who remove files continue at the next one.
  #focusNear(place) {
    const chip = this.#list.children[Math.min(place, this.#list.childElementCount - 1)]
    const target = chip === undefined ? this.#button : part(chip, "remove")
    target.focus({ preventScroll: true })
  }

  #takeDrops(zone, onFiles) {
    const hasFiles = (event) => event.dataTransfer?.types.includes("Files") ?? false
    const mark = (isOver) => (zone.dataset.dropping = String(isOver))
    zone.addEventListener("dragover", (event) => {
      if (!hasFiles(event)) return
      event.preventDefault()
      mark(true)
    })
    zone.addEventListener("dragleave", (event) => {
      if (!zone.contains(event.relatedTarget)) mark(false)
    })
    zone.addEventListener("drop", (event) => {
      mark(false)
      if (!hasFiles(event)) return
      event.preventDefault()
      onFiles([...event.dataTransfer.files])
    })
  }
}

function pastedFiles(pasted, pasteChars) {
  if (pasted.files.length > 0) return [...pasted.files]
  const text = pasted.getData("text/plain")
  return text.length > pasteChars ? [new File([text], gettext("Pasted text.txt"), { type: "text/plain" })] : []
}
