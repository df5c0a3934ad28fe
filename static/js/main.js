// Wiring only: builds the parts, hands them to each other, and starts. What a part does is in its own file.
import { AckPacer } from "./ack_pacer.js"
import { Announcer } from "./announcer.js"
import { AssistantPicker } from "./assistant_picker.js"
import { AttachmentRequests } from "./attachment_requests.js"
import { AttachmentTray } from "./attachment_tray.js"
import { AttachmentUploads } from "./attachment_uploads.js"
import { ChatPage } from "./chat_page.js"
import { CodeHighlighter } from "./code_highlighter.js"
import { Composer } from "./composer.js"
import { config, scopeFor } from "./config.js"
import { ConnectionNotice } from "./connection_notice.js"
import { ConversationHeader } from "./conversation_header.js"
import { ConversationMenu } from "./conversation_menu.js"
import { ConversationRequests } from "./conversation_requests.js"
import { ConversationSession } from "./conversation_session.js"
import { ConversationView } from "./conversation_view.js"
import { byId, part } from "./dom.js"
import { Drafts } from "./drafts.js"
import { Drawer } from "./drawer.js"
import { MessageList } from "./message_list.js"
import { Navigation } from "./navigation.js"
import { Notices } from "./notices.js"
import { Outbox } from "./outbox.js"
import { replySeen } from "./protocol.js"
import { RenderScheduler } from "./render_scheduler.js"
import { QueueView } from "./queue_view.js"
import { ScrollKeeper } from "./scroll_keeper.js"
import { isPlainClick, Sidebar } from "./sidebar.js"
import { ChatSocket } from "./socket.js"
import { StoredValues } from "./stored_values.js"
import { afterPaint, browserTimers as timers, monotonicNow, wallNow } from "./timing.js"
import { TtftMeter } from "./ttft_meter.js"
import { TypingTracker } from "./typing_tracker.js"
import { newUuid } from "./uuid.js"
import { WarmthBadge } from "./warmth_badge.js"
import { WarmthClock } from "./warmth_clock.js"

const stored = (kind) => new StoredValues({ open: () => localStorage, prefix: `warmcache:${kind}:${config.user.id}` })

// Transport: the socket, and what decides when something is sent over it
const socket = new ChatSocket({
  connect: () => new WebSocket(new URL(config.socket_path, location.href.replace(/^http/, "ws"))),
  clock: wallNow,
  timers,
  random: Math.random,
  handshakeMs: config.timings.handshake_ms,
  onFrame: (frame, bytes) => page.take(frame, bytes),
  onStatus: (status) => page.connectionChanged(status),
})
const send = (frame) => socket.send(frame)
const outbox = new Outbox({
  values: stored("outbox"),
  timers,
  clock: wallNow,
  uuid: newUuid,
  ackTimeoutMs: config.timings.ack_timeout_ms,
  transmit: send,
  onChange: (entry) => page.deliveryChanged(entry),
})
const acks = new AckPacer({ clock: monotonicNow, timers, onAck: (replyId, seq) => send(replySeen(replyId, seq)) })
const typing = new TypingTracker({
  timers,
  onStarted: (chars) => page.tellTyping(chars),
  onStopped: () => page.tellTypingStopped(),
})
const meter = new TtftMeter({
  // A hidden page paints nothing; its first words are seen whenever somebody comes back.
  afterPaint: (callback) => document.visibilityState === "visible" && afterPaint(callback),
  onMeasured: (replyId, ttftMs) => {
    list.reply(replyId)?.measured(ttftMs)
    send(replySeen(replyId, session.lastSeq, ttftMs))
  },
})

// The parts of the page
const drafts = new Drafts({ values: stored("draft") })
const announcer = new Announcer({ region: byId("announcements") })
const notices = new Notices({ root: byId("notice") })
const header = new ConversationHeader({ root: byId("conversation-header") })
const connectionNotice = new ConnectionNotice({ element: byId("connection-status"), timers })
const badge = new WarmthBadge({ root: byId("warmth") })
const warmth = new WarmthClock({
  clock: wallNow, timers, maxRemembered: config.limits.followed_prompts, onChange: (now) => badge.show(now),
})
const navigation = new Navigation({ urls: config.urls, onArrive: (id) => page.arriveAt(scopeFor(id)) })
const requests = new ConversationRequests({ base: config.urls.conversation, csrfToken: config.csrf_token })
const picker = new AssistantPicker({ root: byId("welcome"), onChosen: (id) => page.chooseAssistant(id) })
const keeper = new ScrollKeeper({
  pane: byId("messages-pane"),
  onFollowing: (isFollowing) => (byId("jump-to-latest").hidden = isFollowing),
  isEmpty: () => list.isEmpty,
})
const list = new MessageList({
  root: byId("messages"),
  highlighter: new CodeHighlighter({ load: () => import("highlight.js") }),
  scheduler: new RenderScheduler({ requestFrame: (draw) => requestAnimationFrame(draw), now: monotonicNow }),
  onTryAgain: (replyId, pressedAt) => page.tryAgain(replyId, pressedAt),
  onRetry: (clientMessageId) => page.retry(clientMessageId),
  onEdit: (clientMessageId) => page.takeBack(clientMessageId),
  onRevise: (messageId, text, pressedAt) => page.revise(messageId, text, pressedAt),
  onSelect: (messageId, step) => page.select(messageId, step),
})
const queue = new QueueView({
  root: byId("queue"),
  onSend: (messageId, pressedAt) => page.sendQueued(messageId, pressedAt),
  onEdit: (messageId) => page.withdraw(messageId, { isWanted: true }),
  onRemove: (messageId) => page.withdraw(messageId, { isWanted: false }),
})
const composer = new Composer({
  form: byId("composer"),
  onSend: (text, pressedAt) => page.send(text, pressedAt),
  onTyped: (text) => page.typed(text),
  onStop: () => session.stop(),
})
const uploads = new AttachmentUploads({
  requests: new AttachmentRequests({ url: config.urls.attachments, csrfToken: config.csrf_token }),
  maxBytes: config.attachments.max_bytes,
  maxCount: config.attachments.max_count,
  onChange: (scope) => page.attachmentsChanged(scope),
  onReady: (scope, entry) => page.attached(scope, entry),
})
const tray = new AttachmentTray({
  form: byId("composer"),
  dropZone: byId("main"),
  onFiles: (files) => uploads.add(session.scope, files),
  onRemove: (key) => uploads.remove(session.scope, key),
})
const menu = new ConversationMenu({
  menu: byId("conversation-menu"),
  onRename: (id, title) => page.rename(id, title),
  onDelete: (id) => page.delete(id),
})
const sidebar = new Sidebar({
  list: byId("conversations"),
  empty: byId("no-conversations"),
  conversations: config.conversations,
  urlOf: (id) => navigation.urlOf(id),
  onOpen: (id) => page.goTo(scopeFor(id)),
  onMenu: (conversation, button) => menu.open(conversation, button),
})
const drawer = new Drawer({
  panel: byId("sidebar"),
  rest: byId("main"),
  button: byId("open-sidebar"),
  backdrop: byId("sidebar-backdrop"),
  isNarrow: matchMedia("(width < 48rem)"),
})

// The conversation, and what everything means for it
const view = new ConversationView({
  list, queue, elsewhere: byId("elsewhere"), header, picker, composer, keeper, announcer, meter, sidebar, navigation, outbox, drafts,
  uploads, tray, titleChars: config.limits.title_chars,
  onFirstState: () => (document.documentElement.dataset.ready = "true"),
})
const session = new ConversationSession({
  scope: scopeFor(config.conversation_id), send, outbox, view, timers, random: Math.random,
})
const page = new ChatPage({
  session, socket, outbox, drafts, typing, acks, meter, warmth, view, list, composer, keeper, sidebar, header,
  navigation, requests, notices, drawer, connectionNotice, uploads, announcer,
  newChat: scopeFor(null),
  signIn: () => location.assign(`${config.urls.sign_in ?? "/accounts/login/"}?next=${location.pathname}`),
})

// The window
byId("messages-pane").addEventListener("scroll", () => keeper.scrolled(), { passive: true })
byId("jump-to-latest").addEventListener("click", () => keeper.jumpToEnd())
part(byId("elsewhere"), "go").addEventListener("click", () => page.showRunning())
byId("new-chat").addEventListener("click", (event) => {
  if (!isPlainClick(event)) return
  event.preventDefault()
  page.goTo(scopeFor(null))
  composer.focus()
})
const resizes = new ResizeObserver(() => keeper.resized())
resizes.observe(byId("messages"))
resizes.observe(byId("queue"))
resizes.observe(byId("messages-pane"))
addEventListener("online", () => socket.wake())
addEventListener("pageshow", () => socket.wake())
document.addEventListener("visibilitychange", () => document.visibilityState === "visible" && socket.wake())

view.opening(session.scope)
warmth.show(session.scope)
socket.start()
if (matchMedia("(pointer: fine)").matches) composer.focus()
