"""One table of the back office: Flask-Admin's lists, search, filters, export and details, in our own shell.

Only what is named is shown. Of Flask-Admin's routes those that could make, delete or edit in place do not exist; a form
is ours, and calls the verb that everybody's page calls.
"""

import csv
import io
from collections.abc import Mapping
from datetime import datetime
from enum import Enum
from typing import Any

from flask import Response, flash, redirect, render_template, request, url_for
from flask.typing import ResponseReturnValue
from flask_admin import expose
from flask_admin.contrib.sqla import ModelView
from markupsafe import Markup
from sqlalchemy import BigInteger, Integer, inspect
from wtforms import Form as PlainForm

from portal.db import Base, db, utcnow
from portal.errors import Conflict, Invalid, NotFound
from portal.web import keyset
from portal.web.format import UNKNOWN, exact, when
from portal.web.forms import Form, stripped
from portal.web.guards import me, record_export
from portal.web.keyset import Order
from portal.web.where import Where

_READING = {"index_view", "details_view", "export_csv"}


class Window(ModelView):  # type: ignore[misc]  # it comes without types
    """Subclasses name the columns; `shown` are those of the list, of details and of the export, in this order."""

    model: type[Base]
    title: str
    sentence: str
    shown: Mapping[str, str]
    """Column, or a dotted path to one -> what it is called."""
    only_in_details: Mapping[str, str] = {}
    find: tuple[str, ...] = ()
    filters: tuple[Where, ...] = ()
    newest_by: str | None = None
    """The list begins with the newest by this column; without one it is sorted by the first column."""
    form: type[Form] | None = None
    new_form: type[Form] | None = None
    deletes: str = ""
    """What becomes of the rest when a row is deleted, as a sentence; '' where none can be."""

    can_create = can_delete = can_edit = can_set_page_size = False
    can_view_details = can_export = named_filter_urls = True
    page_size = 50
    export_max_rows = 100_000
    list_template, details_template = "admin/list.html", "admin/details.html"

    def __init__(self) -> None:
        self.column_list = self.column_export_list = list(self.shown)
        self.column_details_list = [*self.shown, *self.only_in_details]
        self.column_labels = {**self.shown, **self.only_in_details}
        self.column_searchable_list = list(self.find) or None
        self.column_filters = list(self.filters) or None
        self.column_default_sort = (self.newest_by, True) if self.newest_by else next(iter(self.shown))
        columns = {column.key for column in inspect(self.model).column_attrs}
        self.column_sortable_list = [name for name in self.shown if name in columns]
        self.column_type_formatters = self.column_type_formatters_detail = _FORMATTERS
        self.column_type_formatters_export = _EXPORT_FORMATTERS
        table = self.model.__tablename__
        super().__init__(self.model, db, name=self.title, endpoint=f"admin_{table}", url=table.replace("_", "-"))
        known = _READING | {
            name
            for name, is_there in (
                ("edit_view", self.form),
                ("create_view", self.new_form),
                ("delete_view", self.deletes),
            )
            if is_there
        }
        routes: list[Any] = vars(type(self))["_urls"]
        self._urls = [each for each in routes if each[1] in known]

    def scaffold_form(self) -> type[PlainForm]:
        """Flask-Admin would write columns past the verbs."""
        return PlainForm

    scaffold_list_form = scaffold_form

    def _get_list_extra_args(self) -> Any:
        asked = super()._get_list_extra_args()
        return asked.clone(page=0, search=stripped(asked.search) or None, extra_args={})

    @expose()  # type: ignore[untyped-decorator]
    def index_view(self) -> str:
        """Flask-Admin's own pages by offset: the thousandth would read all before it."""
        asked = self._get_list_extra_args()
        count, rows = self.get_list(0, None, False, asked.search, asked.filters, execute=False, page_size=False)
        turn = {name: self._key(request.args.get(name)) for name in ("after", "before")}
        turned = keyset.page(rows, self._order(asked), size=self.page_size, **turn)

        def turned_to(**place: Any) -> str:
            return str(self._get_list_url(asked.clone(extra_args=place)))

        def sort_url(column: int, is_sorted: bool) -> str:
            return str(self._get_list_url(asked.clone(sort=column, sort_desc=is_sorted and not asked.sort_desc)))

        return self.render(
            self.list_template,
            data=turned.rows,
            count=count,
            first_url=turned_to(),
            newer_url=turned_to(before=turned.before) if turned.before is not None else None,
            older_url=turned_to(after=turned.after) if turned.after is not None else None,
            list_columns=self._list_columns,
            sort_column=asked.sort,
            sort_desc=asked.sort_desc,
            sort_url=sort_url,
            search_supported=self._search_supported,
            search=asked.search,
            search_placeholder=self.search_placeholder(),
            filters=self._filters,
            active_filters=asked.filters,
            filter_args=self._get_filters(asked.filters),
            get_pk_value=self.get_pk_value,
            get_value=self.get_list_value,
        )

    def _order(self, asked: Any) -> Order:
        """As asked; else the newest first, or by the first column."""
        column = self._get_column_by_idx(asked.sort)
        number = getattr(self.model, str(inspect(self.model).primary_key[0].key))
        if column is not None and self.is_sortable(column[0]):
            return Order(getattr(self.model, column[0]), number, bool(asked.sort_desc))
        return Order(getattr(self.model, self.newest_by or next(iter(self.shown))), number, self.newest_by is not None)

    def _get_list_filter_args(self) -> Any:
        """Without the filters that were left empty, of which a form sends all."""
        found = []
        for number, each in enumerate(self._filters or []):
            value = stripped(request.args.get(self.name_of(number)))
            if not value:
                continue
            try:
                each.clean(value)
            except ValueError:
                flash(f"{each.name}: {value} cannot be looked for, so this filter was left out.", "error")
            else:
                found.append((number, each.name, value))
        return found

    def name_of(self, number: int) -> str:
        """A filter's place in the query string."""
        return f"flt_{self.get_filter_arg(number, self._filters[number])}"

    def _get_filters(self, filters: Any) -> dict[str, str]:
        return {self.name_of(number): value for number, _name, value in filters or ()}

    def get_empty_list_message(self) -> str:
        return "Nothing fits." if request.args else "There is nothing yet."

    def get_export_value(self, model: Any, name: str) -> Any:
        """A spreadsheet takes what begins with one of these for a formula."""
        value = super().get_export_value(model, name)
        return f"'{value}" if isinstance(value, str) and value.startswith(("=", "+", "-", "@", "\t", "\r")) else value

    def _run_view(self, fn: Any, *args: Any, **parts: Any) -> Any:
        """Flask-Admin calls a view again, otherwise, when it raises TypeError, which hides what was wrong."""
        return fn(self, *args, **parts)

    @expose("/export.csv")  # type: ignore[untyped-decorator]
    def export_csv(self) -> ResponseReturnValue:
        """What the list shows, all pages. Written at once: a streamed one would outlive the session that it reads."""
        record_export(self.model, self._asked_for())
        text = io.StringIO()
        rows = csv.writer(text)
        rows.writerow(name for _key, name in self._export_columns)
        _count, things = self._export_data()
        for thing in things:
            rows.writerow(self.get_export_value(thing, key) for key, _name in self._export_columns)
        name = f"{self.model.__tablename__}-{utcnow():%Y%m%dT%H%M%SZ}.csv"
        return Response(
            text.getvalue(), mimetype="text/csv", headers={"Content-Disposition": f"attachment; filename={name}"}
        )

    def _asked_for(self) -> list[str]:
        """What narrows the list, by name."""
        asked = self._get_list_extra_args()
        return (["search"] if asked.search else []) + [name for _number, name, _value in asked.filters or ()]

    @expose("/details/")  # type: ignore[untyped-decorator]
    def details_view(self) -> ResponseReturnValue:
        thing = self._asked()
        if thing is None:
            return redirect(self.get_url(".index_view"), 303)
        return self.render(self.details_template, thing=thing, get_value=self.get_detail_value)

    @expose("/edit/", methods=("GET", "POST"))  # type: ignore[untyped-decorator]
    def edit_view(self) -> ResponseReturnValue:
        thing = self._asked()
        if thing is None or self.form is None:
            return redirect(self.get_url(".index_view"), 303)
        form = self.form(obj=thing)
        if not form.validate_on_submit():
            return self._edit(thing, form), form.status
        try:
            with db.begin() as session:
                self.change(session, thing, form)
        except (Invalid, Conflict) as error:
            status = form.refuse(error)
            return self._edit(thing, form), status
        flash(f"{self.called(thing)} is saved.", "success")
        if not me().acts_as_administrator:  # any more
            return redirect(url_for("settings.show"), 303)
        return redirect(self.get_url(".details_view", id=self.get_pk_value(thing)), 303)

    @expose("/new/", methods=("GET", "POST"))  # type: ignore[untyped-decorator]
    def create_view(self) -> ResponseReturnValue:
        assert self.new_form is not None
        form = self.new_form()
        if not form.validate_on_submit():
            return self.render("admin/new.html", form=form), form.status
        try:
            with db.begin() as session:
                thing = self.create(session, form)
        except (Invalid, Conflict) as error:
            status = form.refuse(error)
            return self.render("admin/new.html", form=form), status
        flash(f"{self.called(thing)} is made.", "success")
        return redirect(self.get_url(".index_view"), 303)

    @expose("/delete/", methods=("GET", "POST"))  # type: ignore[untyped-decorator]
    def delete_view(self) -> ResponseReturnValue:
        thing = self._asked()
        if thing is None:
            return redirect(self.get_url(".index_view"), 303)
        if request.method == "GET":
            return self.render("admin/delete.html", thing=thing, form=Form())
        name = self.called(thing)
        with db.begin() as session:
            self.remove(session, thing)
        flash(f"{name} is deleted.", "success")
        return redirect(self.get_url(".index_view"), 303)

    def change(self, session: Any, thing: Any, form: Any) -> None:
        """Call the verbs. Raises what they raise."""
        raise NotImplementedError

    def create(self, session: Any, form: Any) -> Any:
        """The same for a new row, which is returned."""
        raise NotImplementedError

    def remove(self, session: Any, thing: Any) -> None:
        """The same for one that goes."""
        raise NotImplementedError

    def page_of(self, thing: Any) -> tuple[str, str] | None:
        """What stands on the thing's own page, in words, and its address."""
        return None

    @property
    def noun(self) -> str:
        """One row, in a word."""
        return str(self.model.__tablename__).replace("_", " ")

    def called(self, thing: Any) -> str:
        return next(str(getattr(thing, name)) for name in ("name", "label", "slug", "id") if getattr(thing, name, None))

    def _edit(self, thing: Any, form: Form) -> str:
        return self.render("admin/edit.html", thing=thing, form=form)

    def _asked(self) -> Any:
        """The row that `?id=` names, None without one. Raises NotFound."""
        asked = request.args.get("id")
        if not asked:
            return None
        key = self._key(asked)
        thing = None if key is None else db.session.get(self.model, key)
        if thing is None:
            raise NotFound()
        return thing

    def _key(self, text: str | None) -> Any:
        """The number, or name, of a row that an address has; None when no row can have it."""
        column, key = inspect(self.model).primary_key[0], stripped(text)
        if not isinstance(column.type, Integer):
            return key or None
        most = 63 if isinstance(column.type, BigInteger) else 31
        return int(key) if key.isascii() and key.isdecimal() and len(key) < 20 and int(key) < 2**most else None

    def render(self, template: str, **values: Any) -> str:
        return render_template(template, view=self, url=url_for, **values)


def _plain(value: Any) -> str:
    if value is None:
        return UNKNOWN
    if isinstance(value, bool):
        return "Yes" if value else "No"
    return str(value.value) if isinstance(value, Enum) else str(value)


def _moment(_view: Any, value: datetime, _name: str = "") -> Markup:
    return Markup('<time datetime="{}" title="{}">{}</time>').format(value.isoformat(), exact(value), when(value))


_FORMATTERS: dict[type, Any] = {
    type(None): lambda _view, value, _name: UNKNOWN,
    bool: lambda _view, value, _name: _plain(value),
    Enum: lambda _view, value, _name: _plain(value),
    datetime: _moment,
}
_EXPORT_FORMATTERS: dict[type, Any] = {
    type(None): lambda _view, value, _name: "",
    bool: lambda _view, value, _name: _plain(value),
    Enum: lambda _view, value, _name: _plain(value),
    datetime: lambda _view, value, _name: value.isoformat(),
}
