import { byId, part } from "./dom.js"

const GAP_PX = 4

/** The menu with Rename and Delete. One menu serves the whole list, for the conversation where it was opened. */
export class ConversationMenu {
  #menu
  #renameDialog
  #deleteDialog
  #conversation = null
  #opener = null

  /** `onRename(id, title)` and `onDelete(id)` return promises. */
  constructor({ menu, onRename, onDelete }) {
    this.#menu = menu
    this.#renameDialog = byId("rename-dialog")
    this.#deleteDialog = byId("delete-dialog")
    part(menu, "rename").addEventListener("click", () => this.#askTitle())
    part(menu, "delete").addEventListener("click", () => this.#askDeletion())
    menu.addEventListener("keydown", (event) => this.#moveBetweenItems(event))
    menu.addEventListener("toggle", ({ newState }) => this.#toggled(newState))
    this.#whenConfirmed(this.#renameDialog, () => onRename(this.#conversation.id, this.#titleField.value.trim()))
    this.#whenConfirmed(this.#deleteDialog, () => onDelete(this.#conversation.id))
  }

  open(conversation, opener) {
    this.#conversation = conversation
    this.#opener = opener
    const { right, bottom, top } = opener.getBoundingClientRect()
    this.#menu.showPopover()
    const { width, height } = this.#menu.getBoundingClientRect()
    const isRoomBelow = bottom + GAP_PX + height < innerHeight
    this.#menu.style.setProperty("--menu-x", `${Math.max(GAP_PX, right - width)}px`)
    this.#menu.style.setProperty("--menu-y", `${isRoomBelow ? bottom + GAP_PX : top - GAP_PX - height}px`)
    part(this.#menu, "rename").focus()
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

  #askDeletion() {
    this.#menu.hidePopover()
    part(this.#deleteDialog, "name").textContent = this.#conversation.title
    this.#deleteDialog.showModal()
  }

  #whenConfirmed(dialog, act) {
    dialog.addEventListener("close", () => {
      if (dialog.returnValue === "confirm") act()
      dialog.returnValue = ""
      this.#opener?.focus()
    })
  }
}
