"""On which shelf of the catalogue an API stands."""

from flask import Blueprint, flash, redirect, render_template, request
from flask.typing import ResponseReturnValue
from sqlalchemy import func, select

from portal import registry
from portal.accounts import Permission
from portal.db import db
from portal.registry.models import Api, Category
from portal.web.apis import address
from portal.web.forms.apis import CategoryForm
from portal.web.guards import an_api, requires

bp = Blueprint("shelving", __name__, url_prefix="/apis")


@bp.route("/<team>/<slug>/<version>/category", methods=["GET", "POST"])
@requires(Permission.MANAGE_APIS, an_api)
def category(api: Api) -> ResponseReturnValue:
    found = select(Category).order_by(Category.position, func.lower(Category.name))
    categories = {each.slug: each for each in db.session.scalars(found)}
    form = CategoryForm()
    form.offer(categories.values())
    if request.method == "GET":
        form.category.data = api.category.slug if api.category else ""
    if not form.validate_on_submit():
        return render_template(
            "apis/category.html", api=api, form=form, categories=categories, address=address
        ), form.status
    with db.begin() as session:
        registry.set_category(session, api, categories.get(form.category.data))
    where = f"in the category {api.category.name}" if api.category else "in no category"
    flash(f"{api.name} is {where} from now on.", "success")
    return redirect(address(api), 303)
