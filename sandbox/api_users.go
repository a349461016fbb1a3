package sandbox

import "time"

func authTest(s *Server, _ *call) (map[string]any, *apiError) {
	return map[string]any{
		"url": s.baseURL() + "/", "team": "Sandbox", "team_id": TeamID, "user": BotName, "user_id": BotUserID, "bot_id": BotID,
		"is_enterprise_install": false, "app_id": AppID, "app_name": "Slipway",
	}, nil
}

// wireUser is a user as users.info shows it.
func wireUser(u *User) map[string]any {
	label, offset := u.TZ, 0
	if loc, err := time.LoadLocation(u.TZ); err == nil { // without a time zone database everybody lives in UTC
		label, offset = time.Now().In(loc).Zone()
	}
	out := map[string]any{
		"id": u.ID, "team_id": u.Team, "name": u.Name, "real_name": u.RealName, "deleted": false,
		"tz": u.TZ, "tz_label": label, "tz_offset": offset, "is_admin": u.Admin, "is_owner": false, "is_primary_owner": false,
		"is_bot": u.Bot, "is_app_user": false, "is_restricted": u.Restricted, "is_ultra_restricted": false, "is_stranger": u.Stranger,
		"updated": 1,
	}
	profile := map[string]any{"real_name": u.RealName, "display_name": u.Name, "team": u.Team}
	if u.Bot {
		profile["bot_id"] = u.BotID
		if u.ID == BotUserID {
			profile["api_app_id"] = AppID
		}
	}
	out["profile"] = profile
	return out
}

func usersInfo(s *Server, c *call) (map[string]any, *apiError) {
	u := s.world.users[c.str("user")]
	if u == nil {
		return nil, fail("user_not_found")
	}
	return map[string]any{"user": wireUser(u)}, nil
}

func usersList(s *Server, _ *call) (map[string]any, *apiError) {
	var out []map[string]any
	for _, u := range s.world.sortedUsers() {
		if !u.Stranger {
			out = append(out, wireUser(u))
		}
	}
	return map[string]any{"members": out, "cache_ts": s.cfg.Clock().Unix(), "response_metadata": map[string]any{"next_cursor": ""}}, nil
}

// approvers is the one user group of the world.
var approvers = []string{UserApprover, UserAdmin}

func usergroupsList(_ *Server, c *call) (map[string]any, *apiError) {
	group := map[string]any{
		"id": GroupApprovers, "team_id": TeamID, "is_usergroup": true, "name": "Approvers", "handle": "approvers",
		"description": "May approve deployments", "date_delete": 0,
	}
	if c.flag("include_users") {
		group["users"] = approvers
	}
	if c.flag("include_count") {
		group["user_count"] = len(approvers)
	}
	return map[string]any{"usergroups": []any{group}}, nil
}

func usergroupsUsersList(_ *Server, c *call) (map[string]any, *apiError) {
	if c.str("usergroup") != GroupApprovers {
		return nil, fail("no_such_subteam")
	}
	return map[string]any{"users": approvers}, nil
}
