"""Assets of the contract: code and scale, and the scales that ISO 4217 gives."""

import re
from functools import lru_cache
from typing import Any

_ASSET = re.compile(r"([A-Z][A-Z0-9]{0,16})/(0|[1-9][0-9]?)")
_OTHER_SCALES = {
    0: "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF",
    3: "BHD IQD JOD KWD LYD OMR TND",
    4: "CLF UYW",
}
_TWO_PLACES = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BGN BMD BND BOB BOV BRL BSD BTN BWP BYN BZD CAD CDF CHE CHF "
    "CHW CNY COP COU CRC CUP CVE CZK DKK DOP DZD EGP ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GTQ GYD HKD HNL HTG "
    "HUF IDR ILS INR IRR JMD KES KGS KHR KPW KYD KZT LAK LBP LKR LRD LSL MAD MDL MGA MKD MMK MNT MOP MRU MUR MVR "
    "MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN QAR RON RSD RUB SAR SBD SCR SDG SEK SGD "
    "SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TOP TRY TTD TWD TZS UAH USD USN UYU UZS VED VES WST XCD XCG "
    "YER ZAR ZMW ZWG"
)
SCALES = dict.fromkeys(_TWO_PLACES.split(), 2) | {
    code: scale for scale, codes in _OTHER_SCALES.items() for code in codes.split()
}


@lru_cache(maxsize=4096)
def _is_valid(asset: str) -> bool:
    match = _ASSET.fullmatch(asset)
    return match is not None and SCALES.get(match[1], int(match[2])) == int(match[2])


def asset_is_valid(value: Any) -> bool:
    """Tell whether a value is an asset, such as USD/2."""
    return isinstance(value, str) and _is_valid(value)
