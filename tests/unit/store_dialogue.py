"""Talking to the engine in the specification's own notation: `|` stands for a NUL."""

from xenwire.xenstore.wire import Frame, Op
from xenwire.xenstored.effects import Event, Log, Reply
from xenwire.xenstored.engine import Engine
from xenwire.xenstored.quotas import DEFAULT_QUOTAS

OK = "OK|"


def wire(text):
    return text.replace("|", "\0").encode("latin-1")


def plain(data):
    return data.decode("latin-1").replace("\0", "|")


class Dialogue:
    """An engine with a privileged connection `dom0`; what happens is noted in the order of effects."""

    def __init__(self, quotas=DEFAULT_QUOTAS):
        self.engine = Engine(quotas)
        self.dom0 = self.engine.connect()
        self.noted = []

    def guest(self, domid):
        return self.engine.connect(domid)

    def ask(self, connection, op, payload="", tx=0):
        """Give the reply's payload, or the name of the error."""
        data = payload if isinstance(payload, bytes) else wire(payload)
        answers = []
        for effect in self.engine.handle(connection, Frame(op, 77, tx, data)):
            self.note(effect)
            if isinstance(effect, Reply):
                assert effect.connection is connection
                answers.append(effect.frame)
        (reply,) = answers
        assert (reply.req_id, reply.tx_id) == (77, tx)
        if reply.type == Op.ERROR:
            return plain(reply.payload).removesuffix("|")
        assert reply.type == op
        return plain(reply.payload)

    def note(self, effect):
        match effect:
            case Reply(connection, frame):
                self.noted.append((connection, plain(frame.payload)))
            case Event(connection, frame):
                assert frame[:3] == (Op.WATCH_EVENT, 0, 0)
                self.noted.append((connection, f"event {plain(frame.payload)}"))
            case Log(text):
                self.noted.append((None, text))

    def run(self, *rows):
        """Each row: connection, transaction, operation, payload, expected reply or name of the error."""
        for number, (connection, tx, op, payload, expected) in enumerate(rows, 1):
            answer = self.ask(connection, op, payload, tx)
            assert answer == expected, f"row {number}: {op.name} {payload} in {tx}: {answer}"

    def heard(self, connection):
        """Give the events for a connection since last asked, as `path|token|`, and forget all notes."""
        noted, self.noted = self.noted, []
        return [text[6:] for whose, text in noted if whose is connection and text.startswith("event ")]
