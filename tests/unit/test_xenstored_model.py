"""Whatever three domains ask, in and out of transactions: the engine answers and tells as the model does."""

from hypothesis import given, settings
from hypothesis import strategies as st
from store_model import Caller, Model

from xenwire.xenstore.wire import Frame, Op, join
from xenwire.xenstored.effects import Event, Reply
from xenwire.xenstored.engine import Engine
from xenwire.xenstored.quotas import Quotas

OK = b"OK\0"
DOMIDS = 0, 3, 5
MAX_NODES, MAX_TOUCHED = 4, 9

paths = st.sampled_from(["/", "/a", "/a/b", "/a/b/c", "/a/d", "/e", "/e/b", "/tool"])
specials = st.sampled_from(["@releaseDomain", "@introduceDomain", "@other"])
values = st.binary(max_size=2)
entries = st.tuples(st.sampled_from("nrwb"), st.sampled_from([0, 3, 5, 32757]))
acls = st.lists(entries, min_size=1, max_size=3).map(tuple)
tokens = st.sampled_from([b"", b"t"])
inside = st.sampled_from([True, True, False])
"""Whether in the transaction that was started last, if there is one."""


on_nodes = st.one_of(
    st.tuples(st.sampled_from(["READ", "DIRECTORY", "MKDIR", "RM", "RM"]), inside, paths),
    st.tuples(st.just("GET_PERMS"), inside, paths | specials),
    st.tuples(st.just("WRITE"), inside, paths, values),
    st.tuples(st.just("SET_PERMS"), inside, paths | specials, acls),
)
on_transactions = st.one_of(
    st.tuples(st.just("TRANSACTION_START")),
    st.tuples(st.just("TRANSACTION_END"), st.sampled_from([True, True, True, False])),
)
on_the_rest = st.one_of(
    st.tuples(st.just("WATCH"), paths | specials, tokens, st.sampled_from([None, None, 0, 1])),
    st.tuples(st.just("UNWATCH"), paths, tokens),
    st.tuples(st.just("SET_TARGET"), st.sampled_from([(1, 2), (2, 1)])),
    st.tuples(st.just("RELEASE"), st.sampled_from([1, 2])),
)
steps = st.sampled_from([on_nodes] * 5 + [on_transactions] * 2 + [on_the_rest]).flatmap(lambda kind: kind)


class Both:
    """The engine and the model, asked the same. Three domains, of which the first is privileged."""

    def __init__(self):
        self.engine = Engine(Quotas(nodes=MAX_NODES, transaction_nodes=MAX_TOUCHED))
        self.model = Model(MAX_NODES, MAX_TOUCHED)
        self.connections = []
        for domid in DOMIDS:
            self.model.callers.append(Caller(domid, privileged=domid == 0))
            self.connections.append(self.engine.connect(domid))
        for domid in DOMIDS:
            self.ask(0, Op.INTRODUCE, join(str(domid), "1", "1"))
        self.step(0, "SET_PERMS", False, "/", (("b", 0),))

    def ask(self, who, op, payload, tx=0):
        """Give the engine's reply or the name of its error, and what it tells to each connection."""
        told = {connection: [] for connection in self.connections}
        for effect in self.engine.handle(self.connections[who], Frame(op, 1, tx, payload)):
            if isinstance(effect, Reply):
                reply = effect.frame
            elif isinstance(effect, Event):
                path, token, _ = effect.frame.payload.split(b"\0")
                told[effect.connection].append((path.decode(), token))
        answer = reply.payload[:-1].decode() if reply.type == Op.ERROR else reply.payload
        return answer, list(told.values())

    def step(self, who, name, *args):
        for caller in self.model.callers:
            caller.heard.clear()
        expected, answer, told = getattr(self, name.lower(), self.on_node)(who, name, *args)
        assert answer == expected
        assert told == [caller.heard for caller in self.model.callers]
        assert self.ask(0, Op.CONTROL, join("check"))[0] == OK

    def on_node(self, who, name, is_inside, path, *args):
        caller = self.model.callers[who]
        match args:
            case [bytes(value)]:
                payload = join(path) + value
            case [perms]:
                payload = join(path, *(f"{letter}{domid}" for letter, domid in perms))
            case []:
                payload = join(path)
        method = getattr(self.model, name.lower())
        tx = max(caller.transactions, default=0) if is_inside else 0
        if path[0] == "@" and name not in ("GET_PERMS", "SET_PERMS"):
            return "EINVAL", *self.ask(who, Op[name], payload, tx)
        return self.model.ask(caller, tx, method, path, *args), *self.ask(who, Op[name], payload, tx)

    def watch(self, who, name, path, token, depth):
        caller = self.model.callers[who]
        levels = [] if depth is None else [str(depth)]
        expected = self.model.ask(caller, 0, self.model.watch, path, token, depth)
        if expected == OK:
            caller.heard.append((path, token))
        return expected, *self.ask(who, Op.WATCH, join(path, token, *levels))

    def unwatch(self, who, name, path, token):
        expected = self.model.ask(self.model.callers[who], 0, self.model.unwatch, path, token)
        return expected, *self.ask(who, Op.UNWATCH, join(path, token))

    def transaction_start(self, who, name):
        expected = self.model.ask(self.model.callers[who], 0, self.model.start)
        return expected, *self.ask(who, Op.TRANSACTION_START, b"")

    def transaction_end(self, who, name, commit):
        caller = self.model.callers[who]
        number = max(caller.transactions, default=0)
        expected = self.model.ask(caller, 0, self.model.end, number, commit) if number else "ENOENT"
        return expected, *self.ask(who, Op.TRANSACTION_END, b"T\0" if commit else b"F\0", number)

    def set_target(self, who, name, pair):
        domain, target = (self.model.callers[index] for index in pair)
        domain.target = target.domid
        return OK, *self.ask(0, Op.SET_TARGET, join(str(domain.domid), str(target.domid)))

    def release(self, who, name, index):
        """A domain goes, and another comes with its id and a connection of its own."""
        domid = DOMIDS[index]
        self.model.release(domid)
        answer, told = self.ask(0, Op.RELEASE, join(str(domid)))
        self.engine.disconnect(self.connections[index])
        self.connections[index] = self.engine.connect(domid)
        self.model.callers[index] = Caller(domid, privileged=False)
        self.ask(0, Op.INTRODUCE, join(str(domid), "1", "1"))
        return OK, answer, told


@settings(max_examples=150)
@given(st.lists(st.tuples(st.integers(0, 2), steps), min_size=10, max_size=50))
def test_engine_behaves_as_the_model(sequence):
    both = Both()
    for who, step in sequence:
        both.step(who, *step)
