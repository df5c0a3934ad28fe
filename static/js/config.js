/** The configuration that the server put into this page: see the view that renders chat/conversation.html. */
export const config = Object.freeze(JSON.parse(document.getElementById("config").textContent))

/** The scope of a conversation, or of a new chat with the default assistant if the id is null. */
export const scopeFor = (conversationId) => ({
  conversationId,
  assistantId: conversationId === null ? config.assistant_id : null,
})
