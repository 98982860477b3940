"""The currencies that Stripe takes for cards, and how it counts them.

Source: https://docs.stripe.com/currencies (presentment currencies, zero-decimal, three-decimal, special cases). What
an account may use also depends on its country and cards; Stripe's refusal says so.
"""

from __future__ import annotations

from payment_app.gateways.currencies import Currencies, ProviderUnit

TWO_DIGITS = (
    "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BMD BND BOB BRL BSD BWP BYN BZD CAD CDF CHF CNY COP CRC CVE CZK"
    " DKK DOP DZD EGP ETB EUR FJD FKP GBP GEL GIP GMD GTQ GYD HKD HNL HTG HUF IDR ILS INR JMD KES KGS KHR KYD KZT LAK"
    " LBP LKR LRD LSL MAD MDL MKD MMK MNT MOP MUR MVR MWK MXN MYR MZN NAD NGN NIO NOK NPR NZD PAB PEN PGK PHP PKR PLN"
    " QAR RON RSD RUB SAR SBD SCR SEK SGD SHP SLE SOS SRD SZL THB TJS TOP TRY TTD TWD TZS UAH USD UYU UZS WST XCD XCG"
    " YER ZAR ZMW"
)
# Of MGA ISO 4217 has two digits. HUF and TWD are without digits in payouts only.
ZERO_DIGITS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
# "These API calls require the least-significant (last) digit to be 0."
THREE_DIGITS = "BHD JOD KWD OMR TND"
# Without digits, but "to maintain backwards compatibility" sent in hundredths that are multiples of 100.
SENT_IN_HUNDREDTHS = "ISK UGX"

CURRENCIES: Currencies = {
    **dict.fromkeys(TWO_DIGITS.split(), ProviderUnit(2)),
    **dict.fromkeys(ZERO_DIGITS.split(), ProviderUnit(0)),
    **dict.fromkeys(THREE_DIGITS.split(), ProviderUnit(3, step=10)),
    **dict.fromkeys(SENT_IN_HUNDREDTHS.split(), ProviderUnit(2, step=100)),
}
