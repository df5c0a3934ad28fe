// The frames of chatapp/PROTOCOL.md as the page sends and reads them. A scope names a conversation:
// `{ conversationId, assistantId }`, where a new chat has a null `conversationId` and is known by its assistant.

export const PROTOCOL_VERSION = 1

export const CloseCode = Object.freeze({
  signedOut: 4401,
  forbidden: 4403,
  tooSlow: 4408,
  abuse: 4409,
  restarting: 4412,
  lifetime: 4413,
  tooMany: 4429,
})

const FINAL_CODES = new Set([CloseCode.signedOut, CloseCode.forbidden, CloseCode.abuse, CloseCode.tooMany])

export const mayReconnectAfter = (closeCode) => !FINAL_CODES.has(closeCode)

function scopeFields({ conversationId, assistantId }) {
  return conversationId === null
    ? { conversation_id: null, assistant_id: assistantId }
    : { conversation_id: conversationId }
}

export function conversationOpen(scope, cursor = null) {
  const frame = { type: "conversation.open", ...scopeFields(scope) }
  return cursor === null ? frame : { ...frame, cursor }
}

/** `editOf`: the sent message that is being edited, or null for a new one. */
export const typingStarted = (scope, chars, attachmentIds = [], editOf = null) => ({
  type: "typing.started",
  ...scopeFields(scope),
  chars,
  attachment_ids: attachmentIds,
  edit_of: editOf,
})

export const typingStopped = (scope) => ({ type: "typing.stopped", ...scopeFields(scope) })

/** `editOf`: the message that this one is another version of, or null; `attachments`: `[{ id, name }]`. */
export const messageSend = ({ clientMessageId, scope, text, editOf = null, attachments = [], temporary = false }) => ({
  type: "message.send",
  client_message_id: clientMessageId,
  ...scopeFields(scope),
  text,
  edit_of: editOf,
  attachment_ids: attachments.map(({ id }) => id),
  ...(temporary ? { temporary } : {}),
})

export const queueWithdraw = (messageId) => ({ type: "queue.withdraw", message_id: messageId })

export const queueSend = (messageId) => ({ type: "queue.send", message_id: messageId })

export function branchSelect({ conversationId }, messageId, cursor = null) {
  const frame = { type: "branch.select", conversation_id: conversationId, message_id: messageId }
  return cursor === null ? frame : { ...frame, cursor }
}

/** `shelf`: `list` or `archive`; `before`: the `next` of the part that is there, or null. */
export const conversationsLoad = (shelf, before) => ({ type: "conversations.load", shelf, before })

export const conversationRead = (conversationId) => ({ type: "conversation.read", conversation_id: conversationId })

export const searchAsk = (query, before) => ({ type: "search.ask", query, before })

/** `anchor`: `{ before }` for what comes before a message, `{ around }` for where it is. */
export const historyLoad = (conversationId, anchor) => ({
  type: "history.load",
  conversation_id: conversationId,
  ...anchor,
})

export const replyStop = (replyId) => ({ type: "reply.stop", reply_id: replyId })

export const replyRegenerate = (replyId) => ({ type: "reply.regenerate", reply_id: replyId })

/** `answer`: `once`, `always` or `no`. */
export const toolAnswer = (replyId, callId, answer) => ({
  type: "tool.answer",
  reply_id: replyId,
  call_id: callId,
  answer,
})

export function replySeen(replyId, seq, ttftMs = null) {
  const frame = { type: "reply.seen", reply_id: replyId, seq }
  return ttftMs === null ? frame : { ...frame, ttft_ms: ttftMs }
}

export const ping = () => ({ type: "ping" })

/** A server frame, or null if it is none: a newer server may send frames that this page does not know. */
export function parseFrame(text) {
  try {
    const frame = JSON.parse(text)
    return typeof frame?.type === "string" ? frame : null
  } catch {
    return null
  }
}

/** Whether a frame that names a conversation or an assistant belongs to `scope`. */
export function isAbout(frame, scope) {
  return scope.conversationId === null
    ? frame.conversation_id == null && frame.assistant_id === scope.assistantId
    : frame.conversation_id === scope.conversationId
}
