"""Users and tokens, for administrators."""

from __future__ import annotations

from typing import Any

from flask import redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from pxeapp.accounts import passwords, service, sessions, tokens
from pxeapp.accounts.models import ApiToken, User
from pxeapp.accounts.permissions import ROLES
from pxeapp.api import guard
from pxeapp.api.context import actor, context
from pxeapp.api.paging import row_number
from pxeapp.db import now
from pxeapp.errors import FieldProblem, Invalid
from pxeapp.ui import token_form
from pxeapp.ui.blueprint import bp
from pxeapp.ui.faults import answered

PAGE = 100


@bp.get("/users")
def users() -> ResponseReturnValue:
    """The page."""
    return render_template("users.html", **_view())


@bp.post("/users")
def create_user() -> ResponseReturnValue:
    """Add a user, with a one-time password that is shown once."""

    def work() -> ResponseReturnValue:
        password = passwords.one_time()
        with context().database.write() as session:
            user = service.create_user(
                session, name=request.form.get("name", "").strip(), role=request.form.get("role", ""),
                password=password, projects=token_form.projects(request.form), one_time=True,
                actor=actor().label, now=now(),
            )  # fmt: skip
        return render_template("users.html", **{**_view(), "made_user": user.name, "password": password})

    return answered("users.html", _view, "user", work)


@bp.post("/users/tokens")
def create_token() -> ResponseReturnValue:
    """A token that belongs to the administrator who makes it."""

    def work() -> ResponseReturnValue:
        said = token_form.read(request.form, now())
        with context().database.write() as session:
            owner = session.get(User, actor().user_id) if actor().user_id else None
            row, secret = tokens.create_token(session, **said, user=owner, actor=actor().label, now=now())
        return render_template("users.html", **{**_view(), "made_token": row.name, "secret": secret})

    return answered("users.html", _view, "token", work)


@bp.post("/users/tokens/<int:number>/revoke")
def revoke_token(number: int) -> ResponseReturnValue:
    """End any token."""

    def work() -> ResponseReturnValue:
        with context().database.write() as session:
            tokens.revoke_token(session, number, actor=actor().label, now=now())
        return redirect(url_for("ui.users", done="token") + "#tokens", 303)

    return answered("users.html", _view, "token", work)


@bp.get("/users/<name>")
def user_page(name: str) -> ResponseReturnValue:
    """One user."""
    return render_template("user.html", **_user_view(name))


@bp.post("/users/<name>")
def change_user(name: str) -> ResponseReturnValue:
    """Change role, projects, and whether the account is open."""

    def work() -> ResponseReturnValue:
        with context().database.write() as session:
            service.change_user(
                session, name, role=request.form.get("role", ""), projects=token_form.projects(request.form),
                disabled=bool(request.form.get("disabled")), actor=actor().label, now=now(),
            )  # fmt: skip
        return redirect(url_for("ui.user_page", name=name, done="changed"), 303)

    return answered("user.html", lambda: _user_view(name), "change", work)


@bp.post("/users/<name>/reset-password")
def reset_user_password(name: str) -> ResponseReturnValue:
    """A one-time password, shown once."""

    def work() -> ResponseReturnValue:
        with context().database.write() as session:
            password = service.reset_password(session, name, actor=actor().label, now=now())
        return render_template("user.html", **{**_user_view(name), "password": password})

    return answered("user.html", lambda: _user_view(name), "password", work)


@bp.post("/users/<name>/sessions/end")
def end_user_sessions(name: str) -> ResponseReturnValue:
    """Sign somebody out everywhere."""
    with context().database.write() as session:
        sessions.end_all(session, service.get_user(session, name), actor=actor().label, now=now())
    return redirect(url_for("ui.user_page", name=name, done="sessions"), 303)


@bp.post("/users/<name>/delete")
def delete_user(name: str) -> ResponseReturnValue:
    """Remove a user, for who types their name."""

    def work() -> ResponseReturnValue:
        if request.form.get("confirm", "").strip() != name:
            problem = FieldProblem("confirm", "is not the name of this user.", f"Type {name}.")
            raise Invalid("Nobody was removed.", problems=[problem])
        with context().database.write() as session:
            service.delete_user(session, name, actor=actor().label, now=now())
        return redirect(url_for("ui.users", done="removed"), 303)

    return answered("user.html", lambda: _user_view(name), "delete", work)


def _view() -> dict[str, Any]:
    after, start = request.args.get("after", "")[:63], row_number(request.args.get("tokens_after", ""))
    with context().database.read() as session:
        found = select(User).where(User.name > after).order_by(User.name).limit(PAGE + 1)
        rows = session.scalars(found).all() if "\0" not in after else []
        listed = select(ApiToken, User.name).outerjoin(User, User.id == ApiToken.user_id).where(ApiToken.id > start)
        made = session.execute(listed.order_by(ApiToken.id).limit(PAGE + 1)).all()
        total = session.scalar(select(func.count()).select_from(User)) or 0
    return {
        "users": rows[:PAGE],
        "total": total,
        "next": rows[PAGE - 1].name if len(rows) > PAGE else "",
        "tokens": made[:PAGE],
        "tokens_next": made[PAGE - 1][0].id if len(made) > PAGE else 0,
        "roles": list(ROLES),
        "moment": now(),
        "form": request.form,
        "errors": {},
        "done": request.args.get("done", ""),
    }


def _user_view(name: str) -> dict[str, Any]:
    here = context()
    with here.database.read() as session:
        user = service.get_user(session, name)
        rows = sessions.listing(session, user.id, guard.rules(here.settings), now=now())
    return {
        "user": user,
        "sessions": rows,
        "roles": list(ROLES),
        "form": request.form,
        "errors": {},
        "done": request.args.get("done", ""),
    }
