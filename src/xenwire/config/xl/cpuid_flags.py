"""The names of CPUID flags that Xen 4.17's libxl knows, and the bits that each stands for
(xen: tools/libs/light/libxl_cpuid.c, xen/include/public/arch-x86/cpufeatureset.h).
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Final, NamedTuple

__all__ = ["CpuidFlag", "cpuid_flags"]


class CpuidFlag(NamedTuple):
    """Where a flag is."""

    leaf: int
    """The leaf of CPUID; for a flag of a model-specific register, its index."""
    subleaf: int | None
    register: str
    """eax, ebx, ecx or edx; msr for a model-specific register."""
    bits: tuple[int, ...]
    """The bits that hold its value, from the lowest on."""


@functools.cache
def cpuid_flags() -> dict[bytes, CpuidFlag]:
    """Give all flags by their names; some have several. Most configurations need none of them."""
    flags: dict[bytes, CpuidFlag] = {}
    for (leaf, subleaf, register), words in _FLAGS.items():
        for word in words.split():
            places, _, name = word.partition("=")
            flags[name.encode()] = CpuidFlag(leaf, subleaf, register, tuple(_bits(places)))
    return flags


def _bits(places: str) -> Iterator[int]:
    """Give the bits of text such as `4-7,16-19`."""
    for place in places.split(","):
        first, _, last = place.partition("-")
        yield from range(int(first), int(last or first) + 1)


_FLAGS: Final = {
    (0x0, None, "eax"): "0-31=maxleaf",
    (0x1, None, "eax"): "0-3=stepping 4-7,16-19=model 8-11,20-27=family",
    (0x1, None, "ebx"): "0-7=brandid 8-15=clflush 16-23=proccount 24-31=localapicid",
    (0x1, None, "ecx"): """
        0=sse3 1=pclmulqdq 2=dtes64 3=monitor 4=dscpl 5=vmx 6=smx 7=eist 7=est 8=tm2 9=ssse3 10=cntxid 12=fma
        13=cmpxchg16 13=cx16 14=xtpr 15=pdcm 17=pcid 18=dca 19=sse4-1 19=sse4.1 19=sse4_1 20=sse4-2 20=sse4.2
        20=sse4_2 21=x2apic 22=movbe 23=popcnt 24=tsc-deadline 25=aes 25=aesni 26=xsave 27=osxsave 28=avx
        29=f16c 30=rdrand 31=hypervisor
    """,
    (0x1, None, "edx"): """
        0=fpu 1=vme 2=de 3=pse 4=tsc 5=msr 6=pae 7=mce 8=cmpxchg8 8=cx8 9=apic 11=sep 11=sysenter 12=mtrr
        13=pge 14=mca 15=cmov 16=pat 17=pse36 18=psn 19=clfsh 21=ds 22=acpi 23=mmx 24=fxsr 25=sse 26=sse2
        27=ss 28=htt 29=tm 29=tm1 30=ia64 31=pbe
    """,
    (0x4, 0, "eax"): "26-31=procpkg",
    (0x6, None, "eax"): "2=arat",
    (0x7, 0, "ebx"): """
        0=fsgsbase 1=tsc-adjust 1=tsc_adjust 2=sgx 3=bmi1 4=hle 5=avx2 6=fdp-excp-only 7=smep 8=bmi2 9=erms
        10=invpcid 11=rtm 12=cmt 12=pqm 13=no-fpu-sel 14=mpx 15=pqe 16=avx512f 17=avx512dq 18=rdseed 19=adx
        20=smap 21=avx512-ifma 23=clflushopt 24=clwb 25=proc-trace 26=avx512pf 27=avx512er 28=avx512cd 29=sha
        30=avx512bw 31=avx512vl
    """,
    (0x7, 0, "ecx"): """
        0=prefetchwt1 1=avx512-vbmi 2=umip 3=pku 4=ospke 6=avx512-vbmi2 7=cet-ss 8=gfni 9=vaes 10=vpclmulqdq
        11=avx512-vnni 12=avx512-bitalg 14=avx512-vpopcntdq 22=rdpid 25=cldemote 27=movdiri 28=movdir64b
        29=enqcmd
    """,
    (0x7, 0, "edx"): """
        2=avx512-4vnniw 3=avx512-4fmaps 4=fsrm 8=avx512-vp2intersect 9=srbds-ctrl 10=md-clear
        11=rtm-always-abort 13=tsx-force-abort 14=serialize 15=hybrid 16=tsxldtrk 20=cet-ibt 23=avx512-fp16
        26=ibrsb 27=stibp 28=l1d-flush 29=arch-caps 30=core-caps 31=ssbd
    """,
    (0x7, 1, "eax"): "4=avx-vnni 5=avx512-bf16 10=fzrm 11=fsrs 12=fsrcs",
    (0x7, 1, "ebx"): "0=intel-ppin",
    (0x7, 1, "edx"): "18=cet-sss",
    (0x7, 2, "edx"): "0=intel-psfd 1=ipred-ctrl 2=rrsba-ctrl 4=bhi-ctrl 5=mcdt-no",
    (0xD, 1, "eax"): "0=xsaveopt 1=xsavec 2=xgetbv1 3=xsaves",
    (0x40000000, None, "eax"): "0-7=maxhvleaf",
    (0x80000001, None, "ecx"): """
        0=lahf-lm 0=lahfsahf 1=cmp-legacy 1=cmplegacy 2=svm 3=extapic 4=altmovcr8 4=cr8-legacy 5=abm 6=sse4a
        7=misalignsse 8=3dnowprefetch 9=osvw 10=ibs 11=xop 12=skinit 13=wdt 15=lwp 16=fma4 19=nodeid
        19=nodeid-msr 21=tbm 22=topoext 23=perfctr_core 24=perfctr_nb 26=dbext 29=monitorx
    """,
    (0x80000001, None, "edx"): """
        11=syscall 20=nx 22=mmxext 25=ffxsr 26=page1gb 27=rdtscp 29=lm 30=3dnowext 31=3dnow
    """,
    (0x80000007, None, "edx"): "7=hw-pstate 8=invtsc 8=itsc 9=cpb 10=efro",
    (0x80000008, None, "ebx"): """
        0=clzero 2=rstr-fp-err-ptrs 9=wbnoinvd 12=ibpb 14=ibrs 15=amd-stibp 16=ibrs-always 17=stibp-always
        18=ibrs-fast 19=ibrs-same-mode 20=no-lmsl 23=amd-ppin 23=ppin 24=amd-ssbd 25=virt-ssbd 26=ssb-no
        28=psfd 29=btc-no 30=ibpb-ret
    """,
    (0x80000008, None, "ecx"): "0-7=nc 12-15=apicidsize",
    (0x8000000A, None, "edx"): """
        0=svm_npt 1=svm_lbrv 3=svm_nrips 4=svm_tscrate 5=svm_vmcbclean 7=svm_decode 10=svm_pausefilt
    """,
    (0x80000021, None, "eax"): """
        2=lfence+ 2=lfence-dispatch 5=verw-clear 6=nscb 8=auto-ibrs 27=sbpb 28=ibpb-brtype 29=srso-no
    """,
    (0x80000021, None, "ecx"): "1=tsa-sq-no 2=tsa-l1-no",
    (0x10A, None, "msr"): """
        0=rdcl-no 1=eibrs 2=rsba 3=skip-l1dfl 4=intel-ssb-no 5=mds-no 6=if-pschange-mc-no 7=tsx-ctrl 8=taa-no
        9=mcu-ctrl 10=misc-pkg-ctrl 11=energy-filtering 12=doitm 13=sbdr-ssdp-no 14=fbsdp-no 15=psdp-no
        17=fb-clear 18=fb-clear-ctrl 19=rrsba 20=bhi-no 21=xapic-status 23=ovrclk-status 24=pbrsb-no
        25=gds-ctrl 26=gds-no 27=rfds-no 28=rfds-clear 62=its-no
    """,
}
