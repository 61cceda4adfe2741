//! Issues and their projects.

use async_graphql::{
    Context, ID, Object, Result, Union,
    connection::{Connection, EmptyFields},
};

use super::{
    Refusal, Scope,
    contact::{Contact, ContactConnection},
    count::Count,
    group::Group,
    id::{issue_gid, project_gid},
    item::{Item, issue_items_cost},
    loader::{IssueAccess, IssueSlice, ItemSlice},
    organization::{Organization, OrganizationConnection},
    page::{Page, cost, cursor_of},
};
use crate::{
    domain::{IssueId, ItemId, ItemKind, RootId},
    rules::{Access, Right},
    store::{
        shown::ShownItem,
        tree::{self, IssueNode, ProjectNode},
    },
};

/// A page of issues.
pub(super) type IssueConnection = Connection<String, Issue, EmptyFields, EmptyFields>;

/// A project that the asker may see.
pub(super) struct Project {
    node: ProjectNode,
}

impl Project {
    /// Returns the project at a path, if the asker may see it.
    pub(super) async fn at(scope: Scope<'_>, path: &str) -> Result<Option<Self>, Refusal> {
        let Some(bearer) = scope.viewer.bearer() else {
            return Ok(None);
        };
        let nodes = tree::projects_at(&mut *scope.connection().await?, path).await?;
        // Tenants may know projects of the same path in trackers of theirs; the asker means the one that he sees.
        let places: Vec<_> = nodes.iter().map(|node| (node.root, node.id)).collect();
        let readable = scope
            .api
            .crm
            .readable_projects(bearer.person, &places)
            .await?;
        let seen = nodes.into_iter().find(|node| readable.contains(&node.id));
        Ok(seen.map(|node| Self { node }))
    }
}

impl Project {
    /// Returns an issue of the project, if the asker may read it.
    pub(super) async fn issue_at(
        &self,
        scope: Scope<'_>,
        iid: i64,
    ) -> Result<Option<Issue>, Refusal> {
        let node = tree::issue_at(&mut *scope.connection().await?, self.node.id, iid).await?;
        Issue::seen(scope, node).await
    }
}

/// A project.
#[Object]
impl Project {
    /// Global id.
    async fn id(&self) -> ID {
        project_gid(self.node.id)
    }

    /// Full path.
    async fn full_path(&self) -> ID {
        ID(self.node.path.clone())
    }

    /// The group that the project is in.
    async fn group(&self, context: &Context<'_>) -> Result<Option<Group>> {
        Ok(Group::find(Scope::of(context)?, self.node.group).await?)
    }

    /// An issue by its number.
    async fn issue(&self, context: &Context<'_>, iid: Option<String>) -> Result<Option<Issue>> {
        let scope = Scope::of(context)?;
        let Some(iid) = iid.and_then(|iid| iid.parse().ok()) else {
            return Ok(None);
        };
        Ok(self.issue_at(scope, iid).await?)
    }
}

/// An issue that the asker may read.
#[derive(Clone)]
pub(super) struct Issue {
    node: IssueNode,
    access: Access,
}

impl Issue {
    /// Returns the issue with an id, if the asker may read it.
    pub(super) async fn find(scope: Scope<'_>, id: IssueId) -> Result<Option<Self>, Refusal> {
        if scope.viewer.bearer().is_none() {
            return Ok(None);
        }
        let node = scope.rows.load_one(id).await?;
        Self::seen(scope, node).await
    }

    async fn seen(scope: Scope<'_>, node: Option<IssueNode>) -> Result<Option<Self>, Refusal> {
        let Some(node) = node else {
            return Ok(None);
        };
        let access = scope.rows.load_one(IssueAccess(node.id)).await?;
        let seen = access.filter(|access| access.active && access.issue_readable);
        Ok(seen.map(|access| Self { node, access }))
    }

    /// Returns a page of the issues that an item is related to, as far as the asker may see what they are related to.
    pub(super) async fn of_item(
        scope: Scope<'_>,
        (root, item): (RootId, ItemId),
        page: &Page,
    ) -> Result<IssueConnection, Refusal> {
        let key = ItemSlice {
            root,
            item,
            slice: page.slice(true)?,
        };
        let nodes = scope.rows.load_one(key).await?.unwrap_or_default();
        let accesses = scope
            .rows
            .load_many(nodes.iter().map(|node| IssueAccess(node.id)))
            .await?;
        // Hidden ones keep their places, so that a page ends where it would for everybody.
        let rows = nodes.into_iter().map(|node| {
            let access = accesses
                .get(&IssueAccess(node.id))
                .filter(|access| access.allows(Right::ViewIssueContacts));
            (
                cursor_of(node.id.0),
                access.map(|access| Self {
                    access: *access,
                    node,
                }),
            )
        });
        Ok(page.connection_of_some(rows, EmptyFields))
    }

    /// Returns a page of its contacts or organizations, as far as the asker may see them.
    async fn items(
        &self,
        scope: Scope<'_>,
        kind: ItemKind,
        page: &Page,
    ) -> Result<(Vec<ShownItem>, Count), Refusal> {
        if !self.access.allows(Right::ViewIssueContacts) {
            return Ok((Vec::new(), Count::Nothing));
        }
        let (root, issue) = (self.node.root, self.node.id);
        let slice = page.slice(false)?;
        let items = scope
            .rows
            .load_one(IssueSlice {
                root,
                issue,
                kind,
                slice,
            })
            .await?;
        Ok((items.unwrap_or_default(), Count::OfIssue(root, issue, kind)))
    }

    /// Returns its id.
    pub(super) fn id(&self) -> IssueId {
        self.node.id
    }

    /// Returns what the asker may do with its contacts.
    pub(super) fn access(&self) -> Access {
        self.access
    }
}

/// An issue.
#[Object]
impl Issue {
    /// Global id.
    #[graphql(name = "id")]
    async fn global_id(&self) -> ID {
        issue_gid(self.node.id)
    }

    /// Number within the project.
    async fn iid(&self) -> ID {
        ID(self.node.iid.to_string())
    }

    /// Title.
    async fn title(&self) -> &str {
        &self.node.title
    }

    /// State in the tracker's words.
    async fn state(&self) -> &str {
        &self.node.state
    }

    /// Whether only some members may read it.
    async fn confidential(&self) -> bool {
        self.node.confidential
    }

    /// Its contacts; none for whoever may not see them.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn customer_relations_contacts(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        last: Option<i32>,
        after: Option<String>,
        before: Option<String>,
    ) -> Result<ContactConnection> {
        let page = Page::new((first, last, after, before))?;
        let (items, count) = self
            .items(Scope::of(context)?, ItemKind::Contact, &page)
            .await?;
        let nodes = items
            .into_iter()
            .filter_map(|item| Some((cursor_of(item.id.0), Contact::of(item)?)));
        Ok(page.connection(nodes, count))
    }

    /// The organizations of its contacts, and those that are related to it themselves; none for whoever may not see them.
    #[graphql(complexity = "cost(first, last, child_complexity)")]
    async fn customer_relations_organizations(
        &self,
        context: &Context<'_>,
        first: Option<i32>,
        last: Option<i32>,
        after: Option<String>,
        before: Option<String>,
    ) -> Result<OrganizationConnection> {
        let page = Page::new((first, last, after, before))?;
        let (items, count) = self
            .items(Scope::of(context)?, ItemKind::Organization, &page)
            .await?;
        let nodes = items
            .into_iter()
            .filter_map(|item| Some((cursor_of(item.id.0), Organization::of(item)?)));
        Ok(page.connection(nodes, count))
    }

    /// Everything that it is related to, of whatever kind, up to 100; nothing for whoever may not see that.
    #[graphql(name = "items", complexity = "issue_items_cost(child_complexity)")]
    async fn all_items(&self, context: &Context<'_>) -> Result<Vec<Item>> {
        if !self.access.allows(Right::ViewIssueContacts) {
            return Ok(Vec::new());
        }
        Ok(Item::of_issue(Scope::of(context)?, (self.node.root, self.node.id)).await?)
    }

    /// The project.
    async fn project(&self, context: &Context<'_>) -> Result<Option<Project>> {
        let scope = Scope::of(context)?;
        let node = scope.rows.load_one(self.node.project).await?;
        Ok(node.map(|node| Project { node }))
    }
}

/// Something that has contacts.
#[derive(Union)]
pub(super) enum Issuable {
    /// An issue.
    Issue(Issue),
}
