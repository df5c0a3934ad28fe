import { gettext } from "../language/translate.js"

/** Decides what the menu of a conversation does. */
export class ConversationActions {
  #requests
  #notices
  #undo
  #maxPinned

  /** `undo`: an `UndoNotice`; `maxPinned`: how many the server lets a person pin. */
  constructor({ requests, notices, undo, maxPinned }) {
    this.#requests = requests
    this.#notices = notices
    this.#undo = undo
    this.#maxPinned = maxPinned
  }

  async rename(conversationId, title) {
    const isDone = title === "" || (await this.#requests.rename(conversationId, title))
    if (!isDone) this.#notices.say(gettext("The new name could not be saved. Try again."))
  }

  async pin({ id, pinned }) {
    const isDone = await this.#requests.pin(id, !pinned)
    if (!isDone)
      this.#notices.say(
        gettext("That did not work. At most {count} conversations can be pinned.", { count: this.#maxPinned }),
      )
  }

  async archive({ id, archived, title }) {
    const isDone = await this.#requests.archive(id, !archived)
    if (!isDone) this.#notices.say(gettext("The conversation could not be moved. Try again."))
    else if (!archived)
      this.#undo.offer(gettext("“{title}” is in the archive.", { title }), () => this.#requests.archive(id, false))
  }

  async delete({ id, title }) {
    const isDone = await this.#requests.delete(id)
    if (!isDone) this.#notices.say(gettext("The conversation could not be deleted. Try again."))
    else this.#undo.offer(gettext("“{title}” is deleted.", { title }), () => this.#restore(id))
  }

  async #restore(conversationId) {
    const isDone = await this.#requests.restore(conversationId)
    if (!isDone) this.#notices.say(gettext("The conversation could not be brought back."))
  }
}
