"""A guest without an operating system: a 32-bit ELF that Xen starts in hvmloader's place.

It counts on the first serial port, `xenwire elf 0` to 7 and again from 0, and gives back every PCI device
that it is asked for (qemu: hw/acpi/pcihp.c: 0xae10 chooses the bus, 0xae04 tells the slots, 0xae08 ejects).
"""

import struct

ADDRESS = 0x100000
TEXT = b"xenwire elf \0"

CODE = bytes.fromhex(
    "bb 00000000"  # mov ebx, 0
    "be 40001000"  # again: mov esi, text
    "66 ba f803"  # mov dx, 0x3f8
    "ac"  # next: lodsb
    "84 c0"  # test al, al
    "74 03"  # jz end
    "ee"  # out dx, al
    "eb f8"  # jmp next
    "89 d8"  # end: mov eax, ebx
    "24 07"  # and al, 7
    "04 30"  # add al, '0'
    "ee"  # out dx, al
    "b0 0a"  # mov al, newline
    "ee"  # out dx, al
    "43"  # inc ebx
    "66 ba 10ae"  # mov dx, 0xae10
    "31 c0"  # xor eax, eax
    "ef"  # out dx, eax
    "66 ba 04ae"  # mov dx, 0xae04
    "ed"  # in eax, dx
    "85 c0"  # test eax, eax
    "74 05"  # jz wait
    "66 ba 08ae"  # mov dx, 0xae08
    "ef"  # out dx, eax
    "b9 00008000"  # wait: mov ecx, 0x800000
    "49"  # less: dec ecx
    "75 fd"  # jnz less
    "eb c5"  # jmp again
)


def firmware():
    """Give the ELF's bytes: one loaded segment, header and all, which is entered in protected mode."""
    header, segment = 52, 32
    image = CODE + TEXT
    start = header + segment
    return (
        struct.pack("<16s", b"\x7fELF\x01\x01\x01")
        + struct.pack("<HHIIIIIHHHHHH", 2, 3, 1, ADDRESS, header, 0, 0, header, segment, 1, 0, 0, 0)
        + struct.pack("<IIIIIIII", 1, start, ADDRESS, ADDRESS, len(image), len(image), 7, 4)
        + image
    )
