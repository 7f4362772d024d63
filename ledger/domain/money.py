"""Amounts and assets: money is an integer of minor units with the asset that it counts."""

import re
from functools import lru_cache

AMOUNT_MAX = 2**63 - 1
"""The largest amount, balance and running total, in minor units."""

_ASSET = re.compile(r"([A-Z][A-Z0-9]{0,16})/(0|[1-9][0-9]?)\Z")

# ISO 4217 (list one). Codes without a minor unit in the standard (metals, test codes) may use any scale.
_SCALE_0 = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF"
_SCALE_2 = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE "
    "CHF CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD "
    "HNL HTG HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP "
    "MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD "
    "SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS "
    "VED VES WST XCD XCG YER ZAR ZMW ZWG"
)
_SCALE_3 = "BHD IQD JOD KWD LYD OMR TND"
_SCALE_4 = "CLF UYW"

ISO_4217_SCALES: dict[str, int] = {
    code: scale
    for scale, codes in ((0, _SCALE_0), (2, _SCALE_2), (3, _SCALE_3), (4, _SCALE_4))
    for code in codes.split()
}


@lru_cache(maxsize=4096)
def asset_fault(asset: str) -> str | None:
    """Say what is wrong with `asset` (`USD/2`: code, slash, digits after the point), or None."""
    match = _ASSET.match(asset)
    if match is None:
        return f"asset {asset!r} is not CODE/SCALE, as in USD/2"
    scale = ISO_4217_SCALES.get(match[1])
    if scale is not None and scale != int(match[2]):
        return f"asset {asset!r}: ISO 4217 gives {match[1]} the scale {scale}"
    return None


def in_range(amount: int) -> bool:
    """Tell whether `amount` is one that can be moved: 1 … 2^63−1 minor units."""
    return 0 < amount <= AMOUNT_MAX


def format_amount(amount: int, asset: str) -> str:
    """Write minor units for a person: `format_amount(125050, "USD/2")` is `1,250.50 USD`."""
    code, _, digits = asset.partition("/")
    scale = int(digits)
    sign = "-" if amount < 0 else ""
    whole, part = divmod(abs(amount), 10**scale)
    return f"{sign}{whole:,}" + (f".{part:0{scale}d}" if scale else "") + f" {code}"
