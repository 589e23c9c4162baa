"""The answer to a DNS message of a sandbox. Pure: no name is ever looked up for it.

A name that the sandbox may reach has our own address, whichever name it is and whether or not it
exists; every other name does not exist. So nothing that a sandbox asks leaves this place, and what
is not asked here it cannot ask anywhere.
"""

from __future__ import annotations

from collections.abc import Sequence

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.opcode
import dns.rcode
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from isola_egress.directory import Grant
from isola_egress.refusals import Protocol, Reason, Refusal
from isola_lifecycle.domains import NAME_LENGTH, host_name

# Short: a list can change, and so can our address.
TTL_SECONDS = 5
_PAYLOAD = 1232  # DNS flag day 2020
_EXPLANATION = dns.edns.EDEOption(dns.edns.EDECode.PROHIBITED, "not in allowedEgressDomains")


def answer(
    wire: bytes, grant: Grant | None, addresses: Sequence[str]
) -> tuple[bytes | None, Refusal | None]:
    """Return the answer to a message, or None for none at all, and what was refused with it.

    Args:
        wire: The message.
        grant: Of who sent it; None for somebody unknown.
        addresses: Ours, IPv4 and IPv6.
    """
    try:
        query = dns.message.from_wire(wire)
        if query.flags & dns.flags.QR:
            return None, None  # an answer is not answered
        reply = dns.message.make_response(query, our_payload=_PAYLOAD)
    except (dns.exception.DNSException, ValueError):
        return _unreadable(wire), None
    reply.flags |= dns.flags.RA
    code, refusal = _judge(query, grant)
    reply.set_rcode(code)
    if refusal and query.edns >= 0:
        reply.use_edns(0, payload=_PAYLOAD, options=[_EXPLANATION])
    if code == dns.rcode.NOERROR:
        _add(reply, query, addresses)
    return reply.to_wire(), refusal


def _judge(
    query: dns.message.Message, grant: Grant | None
) -> tuple[dns.rcode.Rcode, Refusal | None]:
    if query.opcode() != dns.opcode.QUERY:
        return dns.rcode.NOTIMP, None
    if len(query.question) != 1 or query.question[0].rdclass != dns.rdataclass.IN:
        return dns.rcode.REFUSED, None
    if grant is None:
        return dns.rcode.REFUSED, None
    text = query.question[0].name.to_text()
    name = host_name(text)
    if name and grant.names(name):
        return dns.rcode.NOERROR, None
    asked = name or text.removesuffix(".")[:NAME_LENGTH]
    refusal = Refusal(reason=Reason.NAME_NOT_ALLOWED, protocol=Protocol.DNS, name=asked)
    return dns.rcode.NXDOMAIN, refusal


def _add(reply: dns.message.Message, query: dns.message.Message, addresses: Sequence[str]) -> None:
    question = query.question[0]
    # Other types - HTTPS with its hints of addresses and HTTP/3, TXT, MX - have no data.
    ours = {
        dns.rdatatype.A: [address for address in addresses if ":" not in address],
        dns.rdatatype.AAAA: [address for address in addresses if ":" in address],
    }.get(question.rdtype)
    if ours:
        reply.answer.append(
            dns.rrset.from_text_list(question.name, TTL_SECONDS, "IN", question.rdtype, ours)
        )


def _unreadable(wire: bytes) -> bytes | None:
    # FORMERR under the same number, where there is a number and it is a query.
    header = wire[:12]
    if len(header) < 12 or header[2] & 0x80:  # noqa: PLR2004 - RFC 1035 section 4.1.1
        return None
    return header[:2] + bytes((0x80, dns.rcode.FORMERR)) + bytes(8)
