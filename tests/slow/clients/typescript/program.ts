// What a program does with the generated client. Its argument is the URL of the service.
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

declare const process: { argv: string[] };

type Article = components["schemas"]["ArticleRead"];
type Problem = components["schemas"]["ProblemDetails"];

const url = process.argv[2] ?? "";
const client = createClient<paths>({ baseUrl: url });
const commas = { array: { style: "form", explode: false } } as const;

function equal(found: unknown, expected: unknown): void {
  const [left, right] = [JSON.stringify(found), JSON.stringify(expected)];
  if (left !== right) throw new Error(`${left} is not ${right}`);
}

// --- POST ----------------------------------------------------------------------------------------

async function create(slug: string, views: number): Promise<Article> {
  const { data, error } = await client.POST("/articles", {
    body: { title: slug.toUpperCase(), slug, views, status: "published" },
  });
  if (!data) throw new Error(error.detail);
  return data;
}

const [one, two, three] = [await create("a", 1), await create("b", 2), await create("c", 3)];
equal([one.title, one.version, one.rating], ["A", 1, null]);

const key = { "Idempotency-Key": "1" };
for (const replayed of [null, "true"]) {
  const { response } = await client.POST("/authors", {
    body: { name: "Ada", email: "ada@example.org" },
    params: { header: key },
  });
  equal([response.status, response.headers.get("Idempotency-Replayed")], [201, replayed]);
}

// --- GET -----------------------------------------------------------------------------------------

const found = await client.GET("/articles/{id}", { params: { path: { id: one.id } } });
equal(found.data, one);
const tag = found.response.headers.get("ETag") ?? "";

async function list(cursor?: string): Promise<[string[], string | null]> {
  const { data, error, response } = await client.GET("/articles", {
    params: {
      query: {
        status: "published",
        views__in: [1, 2, 3],
        sort: ["-views", "title"],
        limit: 2,
        count: "exact",
        cursor,
      },
    },
    querySerializer: commas,
  });
  if (!data) throw new Error(error.detail);
  equal(response.headers.get("X-Total-Count"), "3");
  const next = /<([^>]*)>; rel="next"/.exec(response.headers.get("Link") ?? "")?.[1];
  return [data.map((article) => article.slug), next ? new URL(next, url).searchParams.get("cursor") : null];
}

const [first, next] = await list();
equal(first, ["c", "b"]);
equal(await list(next ?? ""), [["a"], null]);

// --- PATCH ---------------------------------------------------------------------------------------

const path = { id: one.id };
const header = { "If-Match": tag };
const changed = await client.PATCH("/articles/{id}", { params: { path, header }, body: { rating: 4.5 } });
equal([changed.data?.rating, changed.data?.version], [4.5, 2]);
const stale = await client.PATCH("/articles/{id}", { params: { path, header }, body: { rating: 1 } });
equal(stale.error?.status, 412);

// --- Batches and DELETE --------------------------------------------------------------------------

const batch = await client.PATCH("/articles/batch", {
  body: [
    { id: two.id, views: 20 },
    { id: three.id, views: 30, version: 1 },
  ],
});
equal(batch.data?.map((article) => article.views), [20, 30]);
const more = await client.POST("/articles/batch", {
  body: [
    { title: "D", slug: "d" },
    { title: "E", slug: "e" },
  ],
});
const ids = more.data?.map((article) => article.id) ?? [];
equal(ids.length, 2);
const gone = await client.DELETE("/articles/batch", { params: { query: { id: ids } } });
equal(gone.response.status, 204);
const removed = await client.DELETE("/articles/{id}", { params: { path: { id: two.id } } });
equal(removed.response.status, 204);

// --- Errors --------------------------------------------------------------------------------------

function fault(problem: Problem | undefined): unknown {
  const [error] = problem?.errors ?? [];
  return [problem?.status, error?.pointer ?? error?.parameter, error?.code, error?.max_length];
}

const missing = await client.GET("/articles/{id}", { params: { path: { id: two.id } } });
equal([missing.error?.type, missing.error?.detail], ["/problems/not_found", "Article not found"]);
const taken = await client.POST("/articles", { body: { title: "A", slug: "a" } });
equal(fault(taken.error), [409, "#/slug", "not_unique", undefined]);
const invalid = await client.POST("/articles", { body: { title: "a".repeat(201), slug: "f" } });
equal(fault(invalid.error), [422, "#/title", "string_too_long", 200]);
const unsorted = await client.GET("/articles", { params: { query: { limit: 0 } } });
equal(fault(unsorted.error), [422, "limit", "greater_than_equal", undefined]);

// @ts-expect-error: a text for an integer
await client.POST("/articles", { body: { title: "A", slug: "g", views: "1" } });
// @ts-expect-error: a column that no list is sorted by
await client.GET("/articles", { params: { query: { sort: ["body"] } } });
