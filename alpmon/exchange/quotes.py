"""Makes each kind of data frame from the present prices. Pure: time and chance are given."""

from __future__ import annotations

from random import Random
from typing import Final

from alpmon.core.events import Book, Diff, Levels, Rate, Rates, TickerRow, Tickers, Trade
from alpmon.core.topics import Channel
from alpmon.exchange.pairs import PAIRS
from alpmon.exchange.prices import Price, total
from alpmon.exchange.wire import AccountEvent

LEVELS: Final = 20
_MAX_TICKER_ROWS: Final = 6
_FIRST_TRADE_ID: Final = 427_582_820
_FIRST_ORDER_ID: Final = 12_345


class Quotes:
    """All pairs' prices; `now` is unix seconds everywhere and becomes the event's stamp."""

    def __init__(self, rng: Random, now: float) -> None:
        self._rng = rng
        self._trade_id = _FIRST_TRADE_ID
        self._order_id = _FIRST_ORDER_ID
        self._prices = {pair.symbol: Price(pair, now) for pair in PAIRS}
        self._symbols = tuple(self._prices)

    def trade(self, symbol: str, now: float) -> Trade:
        """One trade at the touch; ids rise over all pairs."""
        side = self._rng.choice(("buy", "sell"))
        amount, price = self._prices[symbol].trade(now, side, self._rng)
        return Trade("t", now, self._next_trade_id(), symbol, amount, price, side)

    def tickers(self, now: float) -> Tickers:
        """The tickers of one to six pairs."""
        symbols = self._rng.sample(self._symbols, self._rng.randint(1, _MAX_TICKER_ROWS))
        return Tickers(now, [self.ticker_row(symbol, now) for symbol in symbols])

    def ticker_row(self, symbol: str, now: float) -> TickerRow:
        """One pair's ticker."""
        price = self._prices[symbol]
        price.move(now, self._rng)
        return price.row()

    def rates(self, now: float) -> Rates:
        """The rates of all pairs."""
        return Rates("r", now, [self.rate(symbol) for symbol in self._symbols])

    def rate(self, symbol: str) -> Rate:
        """One pair's rate."""
        base, _, quote = symbol.partition("_")
        price = self._prices[symbol]
        return Rate(price.text(price.bid), base, quote)

    def book(self, symbol: str, now: float) -> Book:
        """A whole book, best level first."""
        price, rng = self._prices[symbol], self._rng
        price.move(now, rng)
        asks, bids = price.side(LEVELS, 1, rng), price.side(LEVELS, -1, rng)
        return Book("p", now, Levels(asks, bids, symbol, total(asks), total(bids)))

    def diff(self, symbol: str, now: float) -> Diff:
        """A few levels that changed."""
        price, rng = self._prices[symbol], self._rng
        price.move(now, rng)
        return Diff("d", now, symbol, (price.changes(1, rng), price.changes(-1, rng)))

    def account(self, now: float) -> AccountEvent:
        """A private frame: a wallet's balance, an order, or a trade of the account."""
        symbol = self._rng.choice(self._symbols)
        price = self._prices[symbol]
        make = self._rng.choice((self._wallet, self._order, self._account_trade))
        return make(now, symbol, price.text(price.bid))

    def _wallet(self, now: float, symbol: str, _price: str) -> AccountEvent:
        quote = symbol.partition("_")[2]
        balance = f"{self._rng.uniform(1, 10_000):.2f}"
        return AccountEvent(Channel.WALLET, "w", now, (self._rng.randint(1, 99), "SPOT", quote, balance, "1.0"))

    def _order(self, now: float, symbol: str, price: str) -> AccountEvent:
        self._order_id += 1
        fields = (
            "SELL",
            "LIMIT",
            "0.5",
            price,
            "0.2",
            "0.3",
            "0.0",
            price,
            price,
            now,
            "FILLED",
            price,
            "SPOT",
            "0",
            "",
        )
        return AccountEvent(Channel.ORDER, "o", now, (self._order_id, symbol, *fields))

    def _account_trade(self, now: float, symbol: str, price: str) -> AccountEvent:
        # the shape is not fully published; this is a trade with its order
        fields = (self._next_trade_id(), self._order_id, symbol, "SELL", "0.3", price)
        return AccountEvent(Channel.ACCOUNT_TRADE, "ta", now, fields)

    def _next_trade_id(self) -> int:
        self._trade_id += self._rng.randint(1, 5)
        return self._trade_id
