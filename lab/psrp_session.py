"""One runspace pool: the handshake and keys are psrpcore's, the pipelines are ours."""

from __future__ import annotations

import asyncio
import itertools
import struct
import uuid
from collections import deque
from collections.abc import Callable, Iterator
from xml.etree import ElementTree

from psrpcore import MissingCipherError, PSRPCoreError, PSRPPayload, ServerRunspacePool, StreamType
from psrpcore.types import RunspacePoolState

from lab import psrp_messages as kinds
from lab.cmdlets_engine import Engine
from lab.posh_members import get_member
from lab.posh_values import PsObject, Value
from lab.psrp_messages import Defragmenter, Malformed, Message, fragments, pack
from lab.psrp_metadata import MetadataPipeline
from lab.psrp_outbox import Outbox
from lab.psrp_pipeline import Exit, Pipeline, read_statements
from lab.psrp_reader import Reader
from lab.psrp_writer import Writer

# Object ids of our own messages; psrpcore counts its own from one.
_FIRST_OBJECT = 1_000_000
# What psrpcore raises when a message of the handshake is not one.
_UNREADABLE = (
    PSRPCoreError,
    ElementTree.ParseError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    RecursionError,
    struct.error,
)
Start = Callable[[Callable[[], None]], object]


class Session:
    """A runspace pool as one client sees it; all methods but `_emit` run on the event loop."""

    def __init__(self, engine: Engine, *, start: Start, scripts: bool, fragment: int = kinds.FRAGMENT) -> None:
        self.fragment = fragment
        self.on_kill: Callable[[], None] = self.close
        self._loop = asyncio.get_running_loop()
        self._pool = ServerRunspacePool()
        self._engine, self._start, self._scripts = engine, start, scripts
        self._defragmenter = Defragmenter()
        self._objects = itertools.count(_FIRST_OBJECT)
        self._id = uuid.UUID(int=0)
        self._keyed = False  # whether the client has the key of secure texts
        self._idle: list[dict[str, Value]] = []
        self._queue: deque[Pipeline] = deque()
        self._busy, self._smallest, self._largest = 0, 1, 1
        self.outbox = Outbox(self._loop)
        self.commands: dict[uuid.UUID, Outbox] = {}
        self._pipelines: dict[uuid.UUID, Pipeline] = {}

    @property
    def is_busy(self) -> bool:
        """Tell whether a pipeline runs or waits for a runspace."""
        return self._busy > 0 or bool(self._queue)

    def open_command(self, command_id: uuid.UUID) -> None:
        """Make room for what a command will say."""
        self.commands[command_id] = Outbox(self._loop)

    def feed(self, data: bytes) -> None:
        """Take fragments from the client."""
        for message in self._defragmenter.feed(data):
            if message.kind in _OURS and self._pool.state != RunspacePoolState.Opened:
                raise Malformed("the runspace pool is not open")
            handler = getattr(self, _OURS.get(message.kind, "_handshake"))
            handler(message)

    def _handshake(self, message: Message) -> None:
        self._shake(message)
        self._keyed = self._keyed or message.kind == kinds.PUBLIC_KEY
        for payload in self._said():
            self.outbox.put([payload])
        self._id = self._pool.runspace_pool_id
        self._smallest = max(1, int(self._pool.min_runspaces))
        self._largest = max(1, int(self._pool.max_runspaces))

    def _shake(self, message: Message) -> None:
        """Let psrpcore read a message of the handshake; raises Malformed."""
        try:
            for fragment in fragments(message.raw, next(self._objects)):
                self._pool.receive_data(PSRPPayload(fragment, StreamType.default, None))
            while self._pool.next_event() is not None:
                pass
        except _UNREADABLE as error:
            raise Malformed(f"{type(error).__name__} in a message of the handshake") from error

    def _said(self) -> Iterator[bytes]:
        """Give what psrpcore wants to say, in whole fragments."""
        while (payload := self._pool.data_to_send(self.fragment)) is not None:
            yield payload.data

    def connect(self, data: bytes) -> bytes:
        """Take a new client of a disconnected pool; gives the answer, the state of the pool goes to its Receive."""
        self._keyed = False
        self._defragmenter = Defragmenter()
        self._pool.disconnect()
        self._pool.connect()
        self._pool.prepare_message(self._pool.our_capability)
        for message in self._defragmenter.feed(data):
            self._shake(message)
        answer: list[bytes] = []
        reader = Defragmenter()
        for payload in self._said():
            for message in reader.feed(payload):
                parts = fragments(message.raw, next(self._objects), self.fragment)
                if message.kind == kinds.RUNSPACE_POOL_STATE:
                    self.outbox.put(parts)
                else:
                    answer.extend(parts)
        return b"".join(answer)

    def _emit(self, kind: int, data: bytes, pipeline_id: uuid.UUID | None) -> Iterator[bytes]:
        return fragments(pack(kind, data, self._id, pipeline_id), next(self._objects), self.fragment)

    def _read(self, message: Message) -> Value:
        cipher = self._pool._cipher
        try:
            return Reader(cipher.decrypt).message(message.data)
        except MissingCipherError as error:
            raise Malformed("a secure text came before the exchange of keys") from error

    def _encrypt(self, text: str) -> str | None:
        """Encrypt a secure text; None before the exchange of keys."""
        sealed: str | None = self._pool._cipher.encrypt(text) if self._keyed else None
        return sealed

    def _create(self, message: Message) -> None:
        key = message.pipeline_id or uuid.UUID(int=0)
        content = self._read(message)
        pipeline = Pipeline(key, read_statements(content), self._exit(key), scripts=self._scripts)
        pipeline.no_input = bool(get_member(content, "NoInput"))
        self._enqueue(key, pipeline)

    def _metadata(self, message: Message) -> None:
        key = message.pipeline_id or uuid.UUID(int=0)
        self._enqueue(key, MetadataPipeline(key, self._read(message), self._exit(key)))

    def _exit(self, key: uuid.UUID) -> Exit:
        return Exit(
            self.commands.setdefault(key, Outbox(self._loop)),
            lambda kind, data: self._emit(kind, data, key),
            self._encrypt,
            self._kill,
        )

    def _kill(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self.on_kill)

    def _enqueue(self, key: uuid.UUID, pipeline: Pipeline) -> None:
        if key in self._pipelines:
            raise Malformed("there is a pipeline with that id")
        self._pipelines[key] = pipeline
        self._queue.append(pipeline)
        self._next()

    def _next(self) -> None:
        while self._queue and self._busy < self._largest:
            pipeline = self._queue.popleft()
            variables = self._idle.pop() if self._idle else {}
            self._busy += 1
            self._start(lambda chosen=pipeline, own=variables: self._work(chosen, own))  # type: ignore[misc]  # defaults bind now

    def _work(self, pipeline: Pipeline, variables: dict[str, Value]) -> None:
        try:
            pipeline.run(self._engine, variables)
        finally:
            if not self._loop.is_closed():
                self._loop.call_soon_threadsafe(self._free, variables)

    def _free(self, variables: dict[str, Value]) -> None:
        self._busy -= 1
        self._idle.append(variables)
        self._next()

    def _input(self, message: Message) -> None:
        pipeline = self._pipelines.get(message.pipeline_id or uuid.UUID(int=0))
        if pipeline is not None:
            pipeline.feed(self._read(message))

    def _end_input(self, message: Message) -> None:
        pipeline = self._pipelines.get(message.pipeline_id or uuid.UUID(int=0))
        if pipeline is not None:
            pipeline.end_input()

    def _set_largest(self, message: Message) -> None:
        content = self._read(message)
        wanted = get_member(content, "MaxRunspaces")
        fits = isinstance(wanted, int) and wanted >= self._smallest
        if isinstance(wanted, int) and fits:
            self._largest = wanted
        self._answer(content, accepted=fits)
        self._next()

    def _set_smallest(self, message: Message) -> None:
        content = self._read(message)
        wanted = get_member(content, "MinRunspaces")
        fits = isinstance(wanted, int) and 1 <= wanted <= self._largest
        if isinstance(wanted, int) and fits:
            self._smallest = wanted
        self._answer(content, accepted=fits)

    def _reset(self, message: Message) -> None:
        self._idle.clear()
        self._answer(self._read(message), accepted=True)

    def _available(self, message: Message) -> None:
        self._answer(self._read(message), accepted=self._largest - self._busy)

    def _answer(self, content: Value, *, accepted: Value) -> None:
        writer = Writer()
        writer.open("", ())
        # pypsrp writes `CI`, other clients `ci`; the I64 type is part of the message.
        answer = PsObject([("SetMinMaxRunspacesResponse", accepted)])
        writer.properties("MS", list(answer.props.items()))
        writer.close()
        text = writer.done().decode().replace("</MS>", f'<I64 N="ci">{get_member(content, "ci")}</I64></MS>')
        self.outbox.put(self._emit(kinds.RUNSPACE_AVAILABILITY, text.encode(), None))

    def stop(self, command_id: uuid.UUID) -> None:
        """Stop a pipeline, also one that still waits for a runspace."""
        pipeline = self._pipelines.get(command_id)
        if pipeline is not None:
            pipeline.stop()

    def drop(self, command_id: uuid.UUID) -> None:
        """Forget a command; what still runs is stopped."""
        self.stop(command_id)
        self._pipelines.pop(command_id, None)
        outbox = self.commands.pop(command_id, None)
        if outbox is not None:
            outbox.close()

    def close(self) -> None:
        """Stop everything and let nobody wait any longer."""
        self._queue.clear()
        for command_id in list(self.commands):
            self.drop(command_id)
        self.outbox.close()


_OURS = {
    kinds.CREATE_PIPELINE: "_create",
    kinds.PIPELINE_INPUT: "_input",
    kinds.END_OF_PIPELINE_INPUT: "_end_input",
    kinds.SET_MAX_RUNSPACES: "_set_largest",
    kinds.SET_MIN_RUNSPACES: "_set_smallest",
    kinds.GET_COMMAND_METADATA: "_metadata",
    kinds.RESET_RUNSPACE_STATE: "_reset",
    kinds.GET_AVAILABLE_RUNSPACES: "_available",
}
