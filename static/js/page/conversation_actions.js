/** Decides what the menu of a conversation does. */
export class ConversationActions {
  #requests
  #notices

  constructor({ requests, notices }) {
    this.#requests = requests
    this.#notices = notices
  }

  async rename(conversationId, title) {
    const isDone = title === "" || (await this.#requests.rename(conversationId, title))
    if (!isDone) this.#notices.say("The new name could not be saved. Try again.")
  }

  async delete(conversationId) {
    const isDone = await this.#requests.delete(conversationId)
    if (!isDone) this.#notices.say("The conversation could not be deleted. Try again.")
  }
}
