"""What machines cost: from AWS's API where it answers, else from the committed table; a quote that makes no sense is not believed."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from importlib import resources
from typing import Any, Final

from roadsense.cloud.aws import asked
from roadsense.config import Settings
from roadsense.errors import BudgetError

HOURS_PER_MONTH: Final = 730.0
# Outside these shares of the on-demand price a spot quote is not believed. AWS advertises discounts of up to 90 %, and since 2017 the
# on-demand price is the ceiling.
_PLAUSIBLE_SPOT: Final = (0.1, 1.0)
# A list price more than this factor away from the table's is not believed either; AWS changes list prices rarely and by little.
_PLAUSIBLE_LIST: Final = 3.0


class PriceTable(Settings):
    """The committed prices, in USD, with the day and the source they are from."""

    region: str
    as_of: str
    source: str
    on_demand_usd_per_hour: dict[str, float]
    gp3_usd_per_gb_month: float
    public_ipv4_usd_per_hour: float
    s3_put_usd_per_1000: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Price:
    """What one machine costs per hour, in USD. `spot` is the dearest zone's quote, None when there is no quote that can be believed."""

    instance_type: str
    on_demand_usd_per_hour: float
    source: str
    spot_usd_per_hour: float | None = None
    spot_by_zone: Mapping[str, float] = field(default_factory=dict)

    @property
    def expected_spot_usd_per_hour(self) -> float:
        """The spot quote, or the on-demand price where there is none."""
        return self.on_demand_usd_per_hour if self.spot_usd_per_hour is None else self.spot_usd_per_hour


def price_table() -> PriceTable:
    """The committed table."""
    text = resources.files("roadsense.cloud").joinpath("prices.json").read_text(encoding="utf-8")
    return PriceTable.parse(json.loads(text), "prices.json", BudgetError)


def look_up(instance_type: str, region: str, zones: tuple[str, ...] = ()) -> Price:
    """The price of a machine; asks AWS, and falls back to the table where AWS does not answer or answers nonsense.

    Raises:
        BudgetError: nobody knows the price, so no worst case can be told.
    """
    table = price_table()
    listed = table.on_demand_usd_per_hour.get(instance_type) if region == table.region else None
    quoted = None if instance_type.startswith("ml.") else asked(lambda session: _listed(session, instance_type, region))
    if quoted is not None and listed is not None and not listed / _PLAUSIBLE_LIST <= quoted <= listed * _PLAUSIBLE_LIST:
        quoted = None
    if quoted is None and listed is None:
        raise BudgetError(
            f"nobody knows what {instance_type} costs in {region} (the pricing API gave no answer, the table of {table.as_of} has no such "
            "machine), so nothing is launched; choose another type, or allow pricing:GetProducts"
        )
    # The dearer of the two: a list price that fell is pleasant, a worst case that was too low is not.
    on_demand = max(price for price in (quoted, listed) if price is not None)
    zones_usd = (asked(lambda session: _spot(session, instance_type, region)) if not instance_type.startswith("ml.") else None) or {}
    low, high = (share * on_demand for share in _PLAUSIBLE_SPOT)
    believed = {zone: usd for zone, usd in sorted(zones_usd.items()) if low <= usd <= high and (not zones or zone in zones)}
    return Price(
        instance_type=instance_type,
        on_demand_usd_per_hour=on_demand,
        source="pricing API" if quoted is not None and quoted == on_demand else f"table of {table.as_of}",
        spot_usd_per_hour=max(believed.values()) if believed else None,
        spot_by_zone=believed,
    )


def _listed(session: Any, instance_type: str, region: str) -> float | None:
    wanted = {
        "instanceType": instance_type,
        "regionCode": region,
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
    }
    filters = [{"Type": "TERM_MATCH", "Field": name, "Value": value} for name, value in wanted.items()]
    # The pricing API exists in a few regions only; this one is always there.
    answer = session.client("pricing", region_name="us-east-1").get_products(ServiceCode="AmazonEC2", Filters=filters)
    prices = []
    for product in answer["PriceList"]:
        for term in json.loads(product)["terms"].get("OnDemand", {}).values():
            prices += [float(dimension["pricePerUnit"]["USD"]) for dimension in term["priceDimensions"].values()]
    return max((price for price in prices if price > 0), default=None)


def _spot(session: Any, instance_type: str, region: str) -> dict[str, float]:
    answer = session.client("ec2", region_name=region).describe_spot_price_history(
        InstanceTypes=[instance_type], ProductDescriptions=["Linux/UNIX"], StartTime=datetime.now(UTC)
    )
    return {quote["AvailabilityZone"]: float(quote["SpotPrice"]) for quote in answer["SpotPriceHistory"]}
