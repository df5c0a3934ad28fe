import { gettext } from "../language/translate.js"
import { byId, part, setText } from "./dom.js"

const GAP_PX = 4

/** What can be done with a conversation. One menu serves the whole list, for the conversation where it was opened. */
export class ConversationMenu {
  #menu
  #renameDialog
  #urlOf
  #conversation = null
  #opener = null

  /**
   * `urlOf(id)`; `onRename(id, title)`; `onPin(conversation)`, `onArchive(conversation)`, `onDelete(conversation)`,
   * `onShare(conversation)`, `onAssistant(conversation)`.
   */
  constructor({ menu, urlOf, onRename, onPin, onArchive, onDelete, onShare, onAssistant }) {
    this.#menu = menu
    this.#urlOf = urlOf
    this.#renameDialog = byId("rename-dialog")
    part(menu, "rename").addEventListener("click", () => this.#askTitle())
    part(menu, "pin").addEventListener("click", () => this.#do(onPin))
    part(menu, "archive").addEventListener("click", () => this.#do(onArchive))
    part(menu, "share").addEventListener("click", () => this.#do(onShare))
    part(menu, "assistant").addEventListener("click", () => this.#do(onAssistant))
    for (const link of ["markdown", "json"]) {
      part(menu, link).addEventListener("click", () => this.#do(() => {}))
    }
    part(menu, "delete").addEventListener("click", () => this.#do(onDelete))
    menu.addEventListener("keydown", (event) => this.#moveBetweenItems(event))
    menu.addEventListener("toggle", ({ newState }) => this.#toggled(newState))
    this.#whenConfirmed(this.#renameDialog, () => onRename(this.#conversation.id, this.#titleField.value.trim()))
  }

  open(conversation, opener) {
    this.#conversation = conversation
    this.#opener = opener
    part(this.#menu, "markdown").href = `${this.#urlOf(conversation.id)}export.md`
    part(this.#menu, "json").href = `${this.#urlOf(conversation.id)}export.json`
    setText(part(this.#menu, "pin"), conversation.pinned ? gettext("Unpin") : gettext("Pin"))
    setText(part(this.#menu, "archive"), conversation.archived ? gettext("Back to the list") : gettext("Archive"))
    const { left, right, bottom, top } = opener.getBoundingClientRect()
    this.#menu.showPopover()
    const { width, height } = this.#menu.getBoundingClientRect()
    const isRoomBelow = bottom + GAP_PX + height < innerHeight
    const x = document.dir === "rtl" ? Math.min(left, innerWidth - GAP_PX - width) : right - width
    this.#menu.style.setProperty("--menu-x", `${Math.max(GAP_PX, x)}px`)
    this.#menu.style.setProperty("--menu-y", `${isRoomBelow ? bottom + GAP_PX : top - GAP_PX - height}px`)
    part(this.#menu, "pin").focus()
  }

  get #titleField() {
    return part(this.#renameDialog, "title")
  }

  #toggled(state) {
    this.#opener?.setAttribute("aria-expanded", String(state === "open"))
  }

  #moveBetweenItems(event) {
    const items = [...this.#menu.querySelectorAll("[role=menuitem]")]
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key]
    if (step !== undefined) {
      event.preventDefault()
      items.at((items.indexOf(document.activeElement) + step) % items.length).focus()
    } else if (event.key === "Tab" || event.key === "Escape") {
      // This Escape is only for the menu: the drawer around it stays open.
      event.stopPropagation()
      this.#menu.hidePopover()
      this.#opener.focus()
    }
  }

  #askTitle() {
    this.#menu.hidePopover()
    this.#titleField.value = this.#conversation.title
    this.#renameDialog.showModal()
    this.#titleField.select()
  }

  #do(act) {
    this.#menu.hidePopover()
    this.#opener.focus()
    act(this.#conversation)
  }

  #whenConfirmed(dialog, act) {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "confirm") act()
      dialog.returnValue = ""
      this.#opener?.focus()
    })
  }
}
