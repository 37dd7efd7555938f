"""Client of a guest agent (qemu-ga) over any byte stream."""

from xenwire.agent.client import DEFAULT_TIMEOUT, GuestAgent
from xenwire.agent.protocol import AgentError
from xenwire.agent.results import ExecResult, GuestInfo

__all__ = ["DEFAULT_TIMEOUT", "AgentError", "ExecResult", "GuestAgent", "GuestInfo"]
