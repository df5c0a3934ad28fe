/** Decides which conversation the page shows. */
export class ConversationSwitcher {
  #parts

  /**
   * `parts`: `session`, `typing`, `editing`, `warmth`, `view`, `drawer`, `notices`, `navigation`, `readMarks`, `finder`,
   * `temporaryChat`, and `newChat`, the scope of one.
   */
  constructor(parts) {
    this.#parts = parts
  }

  /** Shows `scope` and gives it an entry in the browser's history. */
  goTo(scope) {
    this.#parts.navigation.go(scope.conversationId)
    this.arriveAt(scope)
  }

  goToNewChat() {
    this.goTo(this.#parts.newChat)
  }

  /** Shows `scope`; the address is right already. */
  arriveAt(scope) {
    const { view, drawer, notices, readMarks, finder, temporaryChat } = this.#parts
    notices.clear()
    temporaryChat.left(scope.conversationId)
    finder.left(scope.conversationId)
    readMarks.shown(scope.conversationId)
    this.#open(scope)
    view.opening(scope)
    drawer.close()
  }

  /** Chooses another assistant for the new chat; the draft stays. */
  chooseAssistant(assistantId) {
    this.#open({ conversationId: null, assistantId })
  }

  #open(scope) {
    const { session, typing, editing, warmth } = this.#parts
    typing.stop()
    editing.stop()
    warmth.show(scope)
    session.open(scope)
  }
}
