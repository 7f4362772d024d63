"""Blocks: records packed and compressed, byte for byte as the broker handed them over."""

from collections.abc import Sequence

import msgspec
import zstandard

from ledger.contract.dead_letter import Record, bytes_of_address, name_bytes

RECORD_BYTES_OVERHEAD = 24
BLOCK_RAW_BYTES_MAX = 256 * 1024**2
"""More than a block can hold: a block is closed with the record that makes it full."""
LEVEL = 3


class _Packed(msgspec.Struct, array_like=True, gc=False):
    """A record in a block: a MessagePack array of these five; bytes, or nil."""

    offset: int
    timestamp_ms: int | None
    key: bytes | None
    value: bytes | None
    headers: list[tuple[bytes, bytes | None]] = []


class UnreadableBlockError(ValueError):
    """The bytes are no block."""


_encoder = msgspec.msgpack.Encoder()
_decoder = msgspec.msgpack.Decoder(list[_Packed])


def size_of(record: Record) -> int:
    """Estimate the bytes that a record takes in a block before it is compressed."""
    return RECORD_BYTES_OVERHEAD + bytes_of_address(record.key, record.headers) + len(record.value or b"")


def pack(records: Sequence[Record]) -> bytes:
    """Pack and compress records of one partition, in the order of offsets."""
    packed = [_packed(record) for record in records]
    return zstandard.ZstdCompressor(LEVEL, write_checksum=True).compress(_encoder.encode(packed))


def _packed(record: Record) -> _Packed:
    headers = [(name_bytes(name), value) for name, value in record.headers]
    return _Packed(record.offset, record.timestamp_ms, record.key, record.value, headers)


def unpack(block: bytes, topic: str, partition: int) -> list[Record]:
    """Give the records of a block; raises UnreadableBlockError."""
    try:
        # A block says how large it grows: one that lies must not fill the memory.
        size = zstandard.frame_content_size(block)
        if not 0 <= size <= BLOCK_RAW_BYTES_MAX:
            raise UnreadableBlockError(f"it would grow to {size} bytes")
        packed = _decoder.decode(zstandard.ZstdDecompressor().decompress(block))
    except (zstandard.ZstdError, msgspec.DecodeError) as error:
        raise UnreadableBlockError(str(error)) from error
    return [_record(each, topic, partition) for each in packed]


def _record(packed: _Packed, topic: str, partition: int) -> Record:
    headers = tuple((name.decode("utf-8", "surrogateescape"), value) for name, value in packed.headers)
    return Record(topic, partition, packed.offset, packed.key, packed.value, headers, packed.timestamp_ms)
