"""The administrators' back office: which tables, which columns, and the few forms.

A column that is not named here is shown nowhere: no hash, token, secret or body. `call` has its own list.
"""

from typing import Any, cast

from flask import Flask, url_for
from flask_admin import Admin, AdminIndexView, expose
from sqlalchemy.orm import Session
from wtforms import BooleanField, StringField, TextAreaField

from portal import accounts, registry
from portal.accounts import Membership, Permission, Person, Role, Team
from portal.accounts.audit import AuditEntry
from portal.errors import Invalid
from portal.gateway.models import Node
from portal.jobs import Job
from portal.registry.models import Api, Category, Consumer, Key, Plan, Release, Subscription, SubscriptionState
from portal.traffic.models import MisreadLine
from portal.web import quotas
from portal.web.forms import Form, NumberField, one_line, slug_from, stripped
from portal.web.forms.plans import OfficeForm
from portal.web.guards import View, requires
from portal.web.plans import refusals
from portal.web.where import Where, is_given, is_true, one_of, since
from portal.web.window import Window


class PersonForm(Form):
    name = one_line("Name", 80, needed="Give a name.")
    active = BooleanField("May sign in", description="Without it they are signed out everywhere.")
    is_administrator = BooleanField("Administrator", description="With every right, also over people.")


class TeamForm(Form):
    name = one_line("Name", 80, needed="Give it a name.")
    may_publish = BooleanField("May publish APIs", description="Without it, what is published stays as it is.")


class CategoryForm(Form):
    name = one_line("Name", 80, needed="Give it a name.")
    description = TextAreaField("Description", filters=[stripped], description="What belongs on this shelf.")
    position = NumberField(
        "Position", whole=True, needed=True, description="The catalogue shows categories from the lowest on."
    )


class NewCategoryForm(CategoryForm):
    slug = StringField(
        "Slug",
        filters=[stripped],
        description="Its name in addresses, which stays. Left empty, it is made from the name.",
    )
    position = NumberField("Position", whole=True, description="Left empty, it comes last.")


class People(Window):
    model, title, form = Person, "People", PersonForm
    sentence = "Everybody who has an account here."
    shown = {
        "name": "Name",
        "email": "E-mail address",
        "active": "May sign in",
        "is_administrator": "Administrator",
        "created_at": "Since",
    }
    find = ("name", "email")
    filters = (
        is_true("May sign in", Person.active),
        is_true("Administrator", Person.is_administrator),
        since("Since", Person.created_at),
    )

    def change(self, session: Session, thing: Any, form: Any) -> None:
        accounts.rename_person(thing, form.name.data)
        # Activated before and deactivated after, because only somebody active can be an administrator.
        if form.active.data and not thing.active:
            accounts.activate(thing)
        if form.is_administrator.data and not thing.is_administrator:
            accounts.appoint(thing)
        if thing.is_administrator and not form.is_administrator.data:
            accounts.dismiss(session, thing)
        if thing.active and not form.active.data:
            accounts.deactivate(session, thing)


class Teams(Window):
    model, title, form = Team, "Teams", TeamForm
    sentence = "Teams of several, and everybody's personal team."
    shown = {
        "slug": "Slug",
        "name": "Name",
        "may_publish": "May publish",
        "is_personal": "Personal",
        "created_at": "Since",
    }
    find = ("slug", "name")
    filters = (
        is_true("May publish", Team.may_publish),
        is_given("Personal", Team.person_id),
    )

    def change(self, session: Session, thing: Any, form: Any) -> None:
        accounts.rename_team(thing, form.name.data)
        if form.may_publish.data != thing.may_publish:
            accounts.allow_publishing(thing, form.may_publish.data)


class Memberships(Window):
    model, title = Membership, "Memberships"
    sentence = "Who belongs to which team, as what. Teams change it on their own page."
    shown = {"team.slug": "Team", "person.name": "Person", "person.email": "E-mail address", "role": "Role"}
    find = ("team.slug", "person.name", "person.email")
    filters = (one_of("Role", Membership.role, Role),)
    newest_by = "id"


class APIs(Window):
    model, title = Api, "APIs"
    sentence = "All APIs, whoever owns them."
    shown = {
        "team.slug": "Team",
        "slug": "Slug",
        "version": "Version",
        "name": "Name",
        "state": "State",
        "category.name": "Category",
        "draft_changed_at": "Draft changed",
        "created_at": "Since",
    }
    find = ("slug", "name", "team.slug")
    filters = (
        is_given("Published", Api.live_release_id),
        is_true("Paused", Api.paused),
    )
    newest_by = "created_at"


class Releases(Window):
    model, title = Release, "Releases"
    sentence = "Every release of every API. What it froze is on the API's page."
    shown = {
        "api.slug": "API",
        "api.version": "Version",
        "number": "Number",
        "published_at": "Published",
        "published_by.name": "By",
        "note": "Note",
    }
    find = ("api.slug", "note")
    filters = (since("Since", Release.published_at),)
    newest_by = "published_at"


class Plans(Window):
    model, title, form = Plan, "Plans", OfficeForm
    sentence = "The limits that subscriptions are under. A change is live at once, for everybody who has the plan."
    shown = {
        "team.slug": "Team",
        "slug": "Slug",
        "name": "Name",
        "per_second": "Per second",
        "per_second_burst": "Burst a second",
        "per_minute": "Per minute",
        "per_minute_burst": "Burst a minute",
        "quota_day": "Per day",
        "quota_month": "Per month",
        "approval": "Approval",
        "public": "Public",
        "created_at": "Since",
    }
    only_in_details = {"description": "Description", "price": "Price", "terms": "Terms"}
    find = ("slug", "name", "team.slug")
    newest_by = "created_at"

    def change(self, session: Session, thing: Any, form: Any) -> None:
        wanted = registry.PlanValues.of(thing).as_dict() | form.values()
        if not form.agreed.data and (said := refusals(session, thing, registry.PlanValues(**wanted))):
            raise Invalid({"agreed": said})
        registry.change_plan(session, thing, zone=quotas.zone(), **wanted)

    def page_of(self, thing: Any) -> tuple[str, str]:
        return "The plan's own page says more of it", url_for("plans.show", team=thing.team.slug, plan=thing.slug)


class Categories(Window):
    model, title, form, new_form = Category, "Categories", CategoryForm, NewCategoryForm
    sentence = "The shelves of the catalogue. Publishers choose one for each of their APIs."
    shown = {"name": "Name", "slug": "Slug", "position": "Position", "created_at": "Since"}
    only_in_details = {"description": "Description"}
    find = ("name", "slug")
    deletes = "APIs that are in it stay published and are in none."

    def change(self, session: Session, thing: Any, form: Any) -> None:
        registry.change_category(session, thing, **_of_category(form))

    def create(self, session: Session, form: Any) -> Any:
        return registry.create_category(session, slug=slug_from(form.slug, form.name), **_of_category(form))

    def remove(self, session: Session, thing: Any) -> None:
        registry.delete_category(session, thing)


def _of_category(form: Any) -> dict[str, Any]:
    return {"name": form.name.data, "description": form.description.data, "position": form.position.data}


class Consumers(Window):
    model, title = Consumer, "Consumers"
    sentence = "Applications that call APIs."
    shown = {"team.slug": "Team", "slug": "Slug", "name": "Name", "public_id": "Public id", "created_at": "Since"}
    only_in_details = {"description": "Description"}
    find = ("slug", "name", "public_id", "team.slug")
    filters = (since("Since", Consumer.created_at),)
    newest_by = "created_at"


class Subscriptions(Window):
    model, title = Subscription, "Subscriptions"
    sentence = "Which consumer uses which API, under which plan."
    shown = {
        "consumer.slug": "Consumer",
        "api.slug": "API",
        "api.version": "Version",
        "plan.slug": "Plan",
        "state": "State",
        "starts_at": "Starts",
        "ends_at": "Ends",
    }
    find = ("consumer.slug", "api.slug", "plan.slug")
    filters = (one_of("State", Subscription.state, SubscriptionState),)
    newest_by = "starts_at"


class Keys(Window):
    model, title = Key, "Keys"
    sentence = "Keys by their public part. Neither secrets nor their hashes are shown anywhere."
    shown = {
        "public_id": "Public id",
        "kind": "Kind",
        "label": "Label",
        "consumer.slug": "Consumer",
        "created_at": "Issued",
        "created_by.name": "By",
        "expires_at": "Expires",
        "revoked_at": "Revoked",
    }
    find = ("public_id", "label", "consumer.slug")
    filters = (
        is_given("Revoked", Key.revoked_at),
        since("Issued since", Key.created_at),
    )
    newest_by = "created_at"


class Nodes(Window):
    model, title = Node, "Nodes"
    sentence = "Machines that run Envoy. The gateway's page says more."
    shown = {
        "name": "Name",
        "state": "State",
        "sentence": "Says",
        "revision": "Revision",
        "envoy_version": "Envoy",
        "started_at": "Started",
        "seen_at": "Heard from",
    }
    find = ("name",)


class Jobs(Window):
    model, title = Job, "Jobs"
    sentence = "Queued and periodic work."
    shown = {
        "kind": "Kind",
        "run_at": "Due",
        "every": "Every, in seconds",
        "attempts": "Attempts",
        "failed_at": "Given up",
    }
    only_in_details = {"error": "Error"}
    find = ("kind",)
    filters = (is_given("Given up", Job.failed_at),)
    newest_by = "run_at"


class MisreadLines(Window):
    model, title = MisreadLine, "Misread lines"
    sentence = "When lines of the access log were not calls, and why. The lines themselves stay in the database."
    shown = {"at": "When", "node": "Node", "error": "Why", "count": "Lines"}
    find = ("node", "error")
    newest_by = "at"


class Audit(Window):
    model, title = AuditEntry, "Audit trail"
    sentence = "Who changed what, and when. Nothing here can be changed or deleted."
    shown = {
        "at": "When",
        "person_id": "Person's number",
        "by": "How",
        "action": "Did",
        "kind": "To what",
        "thing_id": "Its number",
        "label": "Called",
    }
    only_in_details = {"address": "From", "changes": "Changes"}
    find = ("label", "kind", "action")
    filters = (
        Where("Did", lambda word: AuditEntry.action == word),
        Where("To what", lambda word: AuditEntry.kind == word),
        since("Since", AuditEntry.at),
        Where("Until the beginning of", lambda day: AuditEntry.at < day, kind="date"),
    )
    newest_by = "id"


WINDOWS: tuple[type[Window], ...] = (
    *(People, Teams, Memberships, APIs, Releases, Categories, Plans, Consumers, Subscriptions, Keys),
    *(Nodes, Jobs, MisreadLines, Audit),
)


class Index(AdminIndexView):  # type: ignore[misc]  # it comes without types
    """Which tables there are."""

    def __init__(self, windows: list[Window]) -> None:
        super().__init__(name="Back office", endpoint="admin", url="/admin")
        self.static_folder = None  # its scripts and styles are for a shell that is not ours
        self._windows = windows

    @expose()  # type: ignore[untyped-decorator]
    def index(self) -> str:
        return Window.render(self, "admin/index.html", windows=self._windows)


def set_up(app: Flask) -> None:
    """Every route asks for an administrator, whatever Flask-Admin thinks of it."""
    windows = [window() for window in WINDOWS]
    office = Admin(app, name="Back office", index_view=Index(windows))
    office.add_views(*windows)
    for name, view in app.view_functions.items():
        if name.partition(".")[0].partition("_")[0] == "admin":
            app.view_functions[name] = requires(Permission.ADMINISTER)(cast(View, view))
