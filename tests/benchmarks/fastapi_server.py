"""The same job in FastAPI, the SQLAlchemy ORM and Pydantic, as their documentation teaches it."""

import os
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from uuid import UUID, uuid4

import jwt
from fastapi import Depends, FastAPI, HTTPException, Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from pydantic import BaseModel, ConfigDict, Field, create_model
from sqlalchemy import Column, Table, func, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine
from sqlalchemy.orm import DeclarativeBase

from atrium.core.db.engines import sqlalchemy_url
from atrium.wealth.models.clients import Client as AtriumClient
from atrium.wealth.models.orders import Order as AtriumOrder

Risk = Literal["conservative", "moderately_conservative", "moderate", "moderately_aggressive", "aggressive"]


class Base(DeclarativeBase): ...


def table(model: Any, columns: str) -> Table:
    """The columns that Atrium answers, and `deleted_at`, in the schema of the copies."""
    wanted = {*columns.split(","), *({"deleted_at"} & set(model.__table__.c.keys()))}
    copies = [
        Column(one.name, one.type, primary_key=one.primary_key, server_default=one.server_default)
        for one in model.__table__.c
        if one.name in wanted
    ]
    return Table(model.__table__.name, Base.metadata, *copies, schema="bench")


def record(name: str, source: Table, columns: str) -> type[BaseModel]:
    fields: dict[str, Any] = {
        column: (Any if isinstance(source.c[column].type, JSONB) else source.c[column].type.python_type | None, None)
        for column in columns.split(",")
    }
    return create_model(name, __config__=ConfigDict(from_attributes=True), **fields)


class ClientRow(Base):
    __table__ = table(AtriumClient, os.environ["CLIENT_COLUMNS"])


class OrderRow(Base):
    __table__ = table(AtriumOrder, os.environ["ORDER_COLUMNS"])


# The attributes come from the tables, which no type checker reads.
Client: Any = ClientRow
Order: Any = OrderRow
ClientRead: Any = record("ClientRead", Client.__table__, os.environ["CLIENT_COLUMNS"])
OrderRead: Any = record("OrderRead", Order.__table__, os.environ["ORDER_COLUMNS"])


class ClientPage(BaseModel):
    items: list[ClientRead]
    total: int
    page: int
    limit: int
    pages: int


class ClientUpdate(BaseModel):
    model_config = ConfigDict(extra="forbid")
    phone: str | None = Field(None, max_length=40)
    city: str | None = Field(None, max_length=100)
    net_worth: Decimal | None = None


class NewOrder(BaseModel):
    model_config = ConfigDict(extra="forbid")
    client_id: UUID
    symbol: str = Field(max_length=32)
    quantity: Decimal = Field(gt=0)
    order_type: Literal["market", "limit", "stop", "stop_limit"] = "market"


class Caller(BaseModel):
    sub: UUID
    advisor_id: UUID


engine = create_async_engine(sqlalchemy_url(os.environ["DATABASE_URL"]), pool_size=24, max_overflow=0)
sessions = async_sessionmaker(engine, expire_on_commit=False)
bearer = HTTPBearer(auto_error=False)
app = FastAPI()


async def open_session() -> AsyncIterator[AsyncSession]:
    async with sessions() as session:
        yield session


async def find_caller(given: Annotated[HTTPAuthorizationCredentials | None, Depends(bearer)]) -> Caller:
    try:
        claims = jwt.decode(given.credentials if given else "", os.environ["SECRET_KEY"], algorithms=["HS256"])
        return Caller(**claims)
    except (jwt.InvalidTokenError, ValueError):
        raise HTTPException(401, "A valid token is needed.", {"WWW-Authenticate": "Bearer"}) from None


Session = Annotated[AsyncSession, Depends(open_session)]
Me = Annotated[Caller, Depends(find_caller)]


@app.get("/health/ready")
async def ready() -> dict[str, str]:
    return {}


@app.get("/api/v1/clients", response_model=ClientPage)
async def list_clients(
    session: Session,
    me: Me,
    page: Annotated[int, Query(ge=1)] = 1,
    limit: Annotated[int, Query(ge=1, le=100)] = 20,
    risk_profile: Risk | None = None,
) -> Any:
    matching = select(Client).where(Client.advisor_id == me.advisor_id, Client.deleted_at.is_(None))
    if risk_profile:
        matching = matching.where(Client.risk_profile == risk_profile)
    total = await session.scalar(matching.with_only_columns(func.count(), maintain_column_froms=True)) or 0
    rows = matching.order_by(Client.created_at.desc(), Client.id.desc()).limit(limit).offset((page - 1) * limit)
    items = (await session.scalars(rows)).all()
    return {"items": items, "total": total, "page": page, "limit": limit, "pages": -(-total // limit)}


async def get_own(session: AsyncSession, me: Caller, client_id: UUID) -> Any:
    own = (Client.id == client_id, Client.advisor_id == me.advisor_id, Client.deleted_at.is_(None))
    if client := await session.scalar(select(Client).where(*own)):
        return client
    raise HTTPException(404, "There is no such client.")


@app.get("/api/v1/clients/{client_id}", response_model=ClientRead)
async def get_client(session: Session, me: Me, client_id: UUID) -> Any:
    return await get_own(session, me, client_id)


@app.put("/api/v1/clients/{client_id}", response_model=ClientRead)
async def update_client(session: Session, me: Me, client_id: UUID, data: ClientUpdate) -> Any:
    client = await get_own(session, me, client_id)
    for name, value in data.model_dump(exclude_unset=True).items():
        setattr(client, name, value)
    client.version += 1
    client.updated_at = datetime.now(UTC)
    await session.commit()
    return client


@app.post("/api/v1/orders", response_model=OrderRead, status_code=201)
async def create_order(session: Session, me: Me, data: NewOrder) -> Any:
    client = await get_own(session, me, data.client_id)
    order = Order(id=uuid4(), advisor_id=client.advisor_id, placed_by=me.sub, **data.model_dump())
    session.add(order)
    await session.commit()
    return order
