/** What the server told this page once, when it was made: see the view that renders chat/conversation.html. */
export const config = Object.freeze(JSON.parse(document.getElementById("config").textContent))

/** The scope of a conversation, or of a new chat with the usual assistant where the id is null. */
export const scopeFor = (conversationId) => ({
  conversationId,
  assistantId: conversationId === null ? config.assistant_id : null,
})
