"""GitLab's own queries for its CRM, sent by a client that nobody here wrote.

Usage: crm.py API TRACKER TOKEN. API and TRACKER are the addresses of a demo, the token is a Maintainer's. An issue of the sandbox tracker
becomes known by a comment. Ends with 0, or with a traceback that says what was otherwise.
"""

import asyncio
import json
import sys
import urllib.request

from gql import Client, gql
from gql.transport.exceptions import TransportQueryError
from gql.transport.httpx import HTTPXAsyncTransport
from gql.transport.websockets import WebsocketsTransport

# Longest that anything here may take, in seconds.
PATIENCE = 20
PROJECT, IID = "acme/support/desk", "1"

CONTACTS = gql(
    """
    query contacts($groupFullPath: ID!, $state: CustomerRelationsContactState, $searchTerm: String, $sort: ContactSort,
                   $firstPageSize: Int, $lastPageSize: Int, $prevPageCursor: String = "", $nextPageCursor: String = "",
                   $ids: [CustomerRelationsContactID!]) {
      group(fullPath: $groupFullPath) {
        id
        contacts(state: $state, search: $searchTerm, sort: $sort, first: $firstPageSize, last: $lastPageSize,
                 after: $nextPageCursor, before: $prevPageCursor, ids: $ids) {
          nodes { ...ContactFragment }
          pageInfo { hasNextPage endCursor hasPreviousPage startCursor }
        }
      }
    }
    fragment ContactFragment on CustomerRelationsContact {
      id firstName lastName email phone description active organization { id name }
    }
    """
)
COUNTS = gql(
    """
    query contactsCountByState($groupFullPath: ID!, $searchTerm: String) {
      group(fullPath: $groupFullPath) { id contactStateCounts(search: $searchTerm) { all active inactive } }
    }
    """
)
ORGANIZATIONS = gql(
    """
    query organizations($groupFullPath: ID!, $state: CustomerRelationsOrganizationState, $searchTerm: String, $sort: OrganizationSort) {
      group(fullPath: $groupFullPath) {
        organizations(state: $state, search: $searchTerm, sort: $sort) { nodes { id name defaultRate description active } }
        organizationStateCounts(search: $searchTerm) { all active inactive }
      }
    }
    """
)
CREATE_CONTACT = gql(
    """
    mutation createContact($input: CustomerRelationsContactCreateInput!) {
      customerRelationsContactCreate(input: $input) { contact { id firstName lastName email active organization { id } } errors }
    }
    """
)
UPDATE_CONTACT = gql(
    """
    mutation updateContact($input: CustomerRelationsContactUpdateInput!) {
      customerRelationsContactUpdate(input: $input) { contact { id phone active organization { id } } errors }
    }
    """
)
CREATE_ORGANIZATION = gql(
    """
    mutation createOrganization($input: CustomerRelationsOrganizationCreateInput!) {
      customerRelationsOrganizationCreate(input: $input) { organization { id name defaultRate } errors }
    }
    """
)
UPDATE_ORGANIZATION = gql(
    """
    mutation updateOrganization($input: CustomerRelationsOrganizationUpdateInput!) {
      customerRelationsOrganizationUpdate(input: $input) { organization { id name active } errors }
    }
    """
)
ISSUE = gql(
    """
    query issue($projectPath: ID!, $iid: String!) {
      project(fullPath: $projectPath) { issue(iid: $iid) { id customerRelationsContacts { nodes { id email } } } }
    }
    """
)
SET_CONTACTS = gql(
    """
    mutation setContacts($input: IssueSetCrmContactsInput!) {
      issueSetCrmContacts(input: $input) { clientMutationId errors issue { id customerRelationsContacts { nodes { email } } } }
    }
    """
)
FOLLOW = gql(
    """
    subscription issueCrmContactsUpdated($id: IssuableID!) {
      issueCrmContactsUpdated(issuableId: $id) {
        ... on Issue { id customerRelationsContacts { nodes { id firstName lastName email phone organization { id name } } } }
      }
    }
    """
)


def expect(found, wanted):
    """Compares what came with what should have."""
    assert found == wanted, f"found {found!r}, wanted {wanted!r}"


async def ask(session, document, **variables):
    """Sends a query whose variables are these."""
    document.variable_values = variables
    return await asyncio.wait_for(session.execute(document), PATIENCE)


def emails(issue):
    """Returns the addresses of an issue's contacts."""
    return sorted(node["email"] for node in issue["customerRelationsContacts"]["nodes"])


async def lists(session):
    """Sorts, searches, pages and counts as GitLab's contacts page does. Returns the group and the contacts' ids by address."""

    async def page(**arguments):
        group = (await ask(session, CONTACTS, groupFullPath="acme", **arguments))["group"]
        return group, group["contacts"]

    group, every = await page(state="all", sort="LAST_NAME_ASC")
    known = [contact["email"] for contact in every["nodes"]]
    expect([contact["lastName"] for contact in every["nodes"]], ["Berg", "Byron", "Haddad", "Murray", "Retired", "Stone"])
    _, falling = await page(state="all", sort="EMAIL_DESC")
    expect([contact["email"] for contact in falling["nodes"]], sorted(known, reverse=True))
    seen, cursor = [], ""
    while cursor is not None:
        _, part = await page(state="all", sort="LAST_NAME_ASC", firstPageSize=4, nextPageCursor=cursor)
        seen += [contact["email"] for contact in part["nodes"]]
        cursor = part["pageInfo"]["endCursor"] if part["pageInfo"]["hasNextPage"] else None
    expect(seen, known)
    _, back = await page(state="all", sort="LAST_NAME_ASC", lastPageSize=2, prevPageCursor=part["pageInfo"]["startCursor"])
    expect([contact["email"] for contact in back["nodes"]], known[2:4])
    for search, wanted in [("MARY ANN stone", ["mary.ann@example.org"]), ("xample.net", ["noor@example.net", "otto@example.net"]), ("zzz", [])]:
        _, found = await page(searchTerm=search, sort="FIRST_NAME_ASC")
        expect([contact["email"] for contact in found["nodes"]], wanted)
    ids = {contact["email"]: contact["id"] for contact in every["nodes"]}
    _, one = await page(ids=[ids["ada@example.com"]])
    expect([contact["firstName"] for contact in one["nodes"]], ["Ada"])
    for search, wanted in [(None, (6, 5, 1)), ("xample.net", (2, 1, 1))]:
        counts = (await ask(session, COUNTS, groupFullPath="acme", searchTerm=search))["group"]["contactStateCounts"]
        expect((counts["all"], counts["active"], counts["inactive"]), wanted)
    return group["id"], ids


async def changes(session, group):
    """Creates and edits, also what cannot be. Returns the new contact."""

    async def change(document, field, **fields):
        answer = (await ask(session, document, input=fields))[field]
        return answer.get("contact", answer.get("organization")), answer["errors"]

    made, errors = await change(CREATE_ORGANIZATION, "customerRelationsOrganizationCreate", groupId=group, name="Engines", defaultRate=120.5)
    expect((made["name"], made["defaultRate"], errors), ("Engines", 120.5, []))
    organization = made["id"]
    refused = await change(CREATE_ORGANIZATION, "customerRelationsOrganizationCreate", groupId=group, name="ENGINES")
    expect(refused, (None, ["Name has already been taken"]))
    person = {"groupId": group, "firstName": "Zoe", "lastName": "Winter", "email": "zoe@example.com"}
    made, errors = await change(CREATE_CONTACT, "customerRelationsContactCreate", organizationId=organization, **person)
    expect((made["active"], made["organization"], errors), (True, {"id": organization}, []))
    refused = await change(CREATE_CONTACT, "customerRelationsContactCreate", **{**person, "email": "ZOE@example.com"})
    expect(refused, (None, ["Email has already been taken"]))
    zoe = made["id"]
    changed, errors = await change(UPDATE_CONTACT, "customerRelationsContactUpdate", id=zoe, phone="12", organizationId=None)
    expect((changed, errors), ({"id": zoe, "phone": "12", "active": True, "organization": None}, []))
    await change(UPDATE_ORGANIZATION, "customerRelationsOrganizationUpdate", id=organization, active=False)
    listed = (await ask(session, ORGANIZATIONS, groupFullPath="acme", state="inactive", searchTerm="gine", sort="NAME_DESC"))["group"]
    expect([node["name"] for node in listed["organizations"]["nodes"]], ["Engines"])
    expect(listed["organizationStateCounts"], {"all": 1, "active": 0, "inactive": 1})
    try:
        await change(UPDATE_CONTACT, "customerRelationsContactUpdate", id="gid://gitlab/CustomerRelations::Contact/999999", phone="1")
        raise AssertionError("a contact that is not there was changed")
    except TransportQueryError as refusal:
        assert "does not exist or you don't have permission" in refusal.errors[0]["message"], refusal.errors
    return zoe


async def comment(tracker, text):
    """Writes a comment in the sandbox tracker, by which its issue becomes known."""

    def call(path, body=None):
        request = urllib.request.Request(tracker + path, json.dumps(body).encode() if body else None, {"content-type": "application/json"})
        with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
            return json.load(answer)

    state = await asyncio.to_thread(call, "/sandbox/state")
    rita = next(person["id"] for person in state["people"] if person["username"] == "rita")
    await asyncio.to_thread(call, "/sandbox/comment", {"issue": state["issue"]["id"], "as": rita, "body": text})


async def relations(session, socket, tracker, ids):
    """Sets the contacts of an issue and hears of it over the other connection."""
    await comment(tracker, "/add_contacts ada@example.com")
    deadline = asyncio.get_running_loop().time() + PATIENCE
    issue = None
    while not issue or emails(issue) != ["ada@example.com"]:
        assert asyncio.get_running_loop().time() < deadline, issue
        issue = ((await ask(session, ISSUE, projectPath=PROJECT, iid=IID))["project"] or {}).get("issue")
    FOLLOW.variable_values = {"id": issue["id"]}
    events = socket.subscribe(FOLLOW)
    # Sent with the first step; what is changed below is told after it.
    heard = asyncio.ensure_future(anext(events))
    await ask(socket, ISSUE, projectPath=PROJECT, iid=IID)
    grace, ada, zoe = ids["grace@example.com"], ids["ada@example.com"], ids["zoe@example.com"]
    for contacts, mode, wanted in [
        ([grace, zoe], {"operationMode": "APPEND"}, ["ada@example.com", "grace@example.com", "zoe@example.com"]),
        ([ada, zoe], {"operationMode": "REMOVE"}, ["grace@example.com"]),
        ([ada], {}, ["ada@example.com"]),
        ([], {"operationMode": "REPLACE"}, []),
    ]:
        given = {"projectPath": PROJECT, "iid": IID, "contactIds": contacts, "clientMutationId": "c", **mode}
        answer = (await ask(session, SET_CONTACTS, input=given))["issueSetCrmContacts"]
        expect((emails(answer["issue"]), answer["errors"], answer["clientMutationId"]), (wanted, [], "c"))
        told = await asyncio.wait_for(heard, PATIENCE)
        heard = asyncio.ensure_future(anext(events))
        expect((told["issueCrmContactsUpdated"]["id"], emails(told["issueCrmContactsUpdated"])), (issue["id"], wanted))
    heard.cancel()


async def strangers(api):
    """Nobody sees anything, and a wrong token is told so."""
    nobody = Client(transport=HTTPXAsyncTransport(f"{api}/api/graphql"))
    async with nobody as session:
        expect((await ask(session, COUNTS, groupFullPath="acme"))["group"], None)
    wrong = Client(transport=HTTPXAsyncTransport(f"{api}/api/graphql", headers={"Authorization": "Bearer lia_wrong"}))
    try:
        async with wrong as session:
            await ask(session, COUNTS, groupFullPath="acme")
        raise AssertionError("a wrong token was taken")
    except TransportQueryError as refusal:
        expect(refusal.errors[0]["message"], "Invalid token")


async def main(api, tracker, token):
    """Runs everything."""
    headers = {"Authorization": f"Bearer {token}"}
    # Queries are checked against the schema that the service tells.
    over_http = Client(transport=HTTPXAsyncTransport(f"{api}/api/graphql", headers=headers), fetch_schema_from_transport=True)
    address = f"ws{api.removeprefix('http')}/api/graphql"
    over_socket = Client(transport=WebsocketsTransport(address, subprotocols=["graphql-transport-ws"], init_payload=headers))
    async with over_http as session, over_socket as socket:
        group, ids = await lists(session)
        ids["zoe@example.com"] = await changes(session, group)
        await relations(session, socket, tracker, ids)
    await strangers(api)


asyncio.run(main(sys.argv[1].rstrip("/"), sys.argv[2].rstrip("/"), sys.argv[3]))
